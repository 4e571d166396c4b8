import { readFileSync } from "node:fs";
import t from "tap";
import { BROKER_LIMITS } from "../../src/limits.ts";
import { LANE_DOWN_REASONS, LINK, LINK_VERSION } from "../../src/peer/link-layout.ts";

const page = readFileSync(new URL("../../../../../docs/reference/peer-links.md", import.meta.url), "utf8");

t.test("the page of links says what the code does", async (t) => {
  for (const [name, type] of Object.entries(LINK)) t.match(page, `| ${type} | ${name} |`);
  for (const [number, reason] of LANE_DOWN_REASONS.entries()) t.match(page, `${number} ${reason}`);
  t.match(page, `link version (${LINK_VERSION})`);
  const rows = [...page.matchAll(/^\| `(peer\w+)` \| (\d+) \|/gm)];
  t.ok(rows.length >= 15);
  for (const [, name = "", value] of rows) {
    t.equal(Number(value), BROKER_LIMITS[name as keyof typeof BROKER_LIMITS], name);
  }
});
