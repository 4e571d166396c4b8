import { readFileSync } from "node:fs";
import t from "tap";
import {
  CONNECT_DEFAULTS,
  CONSUME_DEFAULTS,
  PRODUCER_DEFAULTS,
  SUBSCRIBE_DEFAULTS,
} from "../src/settings.ts";

// From dist/test.
const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");

/** The rows `| name | default | meaning |` of the table below a heading, name -> default. */
function tableBelow(heading: string): Map<string, string> {
  const section = readme.slice(readme.indexOf(`### ${heading}`)).split(/\n#/)[0] ?? "";
  const rows = section.matchAll(/^\| `(\w+)` \| ([^|]*) \|/gm);
  return new Map(Array.from(rows, ([, name, value]) => [name ?? "", (value ?? "").trim()]));
}

function shown(value: unknown): string {
  if (typeof value === "number") return value.toLocaleString("en-US");
  return typeof value === "string" ? `\`"${value}"\`` : `${value}`;
}

for (const [heading, defaults, without] of [
  ["Options of `connect`", CONNECT_DEFAULTS, ["signal", "headers", "tls"]],
  ["Options of `client.producer`", PRODUCER_DEFAULTS, []],
  [
    "Options of `client.subscribe`",
    SUBSCRIBE_DEFAULTS,
    ["partitions", "signal", "onGap", "replay", "lastValuePerKey", "onReconnect"],
  ],
  [
    "Options of `client.consume`",
    CONSUME_DEFAULTS,
    [
      ...["subscription", "mode", "from", "leaseMs", "maxDeliveries", "backoffMinMs", "backoffMaxMs"],
      ...["prefetch", "onGap", "signal", "replay", "lastValuePerKey", "onReconnect"],
    ],
  ],
] as const) {
  t.test(`${heading} are all in the README, with their defaults`, async (t) => {
    const table = tableBelow(heading);
    t.same([...table.keys()].sort(), [...Object.keys(defaults), ...without].sort());
    for (const [name, value] of Object.entries(defaults)) t.equal(table.get(name), shown(value), name);
    for (const name of without) t.equal(table.get(name), "-", name);
  });
}
