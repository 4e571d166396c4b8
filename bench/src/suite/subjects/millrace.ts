import { createRequire } from "node:module";
import { type Durability, MILLRACE_DRIVER } from "@millrace/load";
import { BrokerProcess } from "../../harness/broker-process.ts";
import { waitUntilReady } from "../../harness/readiness.ts";
import { BrokerSession } from "../../wire/broker-session.ts";
import { quietEvents } from "../raw/raw-driver.ts";
import { makeCertificate } from "./certificate.ts";
import type { RunningSubject, ScenarioName, Subject, SubjectContext } from "./subject.ts";

const DURABILITIES: readonly Durability[] = ["memory", "written", "fsynced"];
const READY_TIMEOUT_MS = 120_000;
/** Topics that are made at a time. */
const REQUESTS_AT_ONCE = 64;

/** What pre-encoded frames and counting consumers can take part in: no times in the records, and no replies. */
const RAW_SCENARIOS: ReadonlySet<ScenarioName> = new Set<ScenarioName>([
  "pinned-producer",
  "pinned-consumer",
  "end-to-end",
  "fan-out",
  "queue",
  "keyed-queue",
  "replay",
  "many-topics",
  "idle-connections",
  "catch-up",
]);
/** What only they do: a client library would be what is measured. */
const RAW_ALONE: ReadonlySet<ScenarioName> = new Set<ScenarioName>(["many-topics", "idle-connections"]);
const { version: VERSION } = createRequire(import.meta.url)("@millrace/cli/package.json") as {
  version: string;
};

/** `millrace serve` with default options, driven by its own client. */
export const millrace: Subject = {
  name: "millrace",
  kind: "client",
  driver: MILLRACE_DRIVER,
  durabilities: DURABILITIES,
  supports: (scenario) => !RAW_ALONE.has(scenario),
  available: async () => undefined,
  start: startMillrace,
  pinger: new URL("../raw/raw-pinger.js", import.meta.url).href,
};

/** The same broker, driven by frames that were encoded before. */
export const millraceRaw: Subject = {
  name: "millrace-raw",
  kind: "raw",
  driver: new URL("../raw/raw-driver.js", import.meta.url).href,
  durabilities: DURABILITIES,
  supports: (scenario) => RAW_SCENARIOS.has(scenario),
  available: async () => undefined,
  start: startMillrace,
  pinger: new URL("../raw/raw-pinger.js", import.meta.url).href,
};

async function startMillrace(context: SubjectContext): Promise<RunningSubject> {
  const { children, folder, durability, wants = {} } = context;
  const options: string[] = [];
  if (wants.tls === true) {
    const { certFile, keyFile } = await makeCertificate(children, folder);
    options.push("--tls-cert", certFile, "--tls-key", keyFile);
  }
  const broker = await BrokerProcess.start(children, folder, options);
  if (wants.tls !== true) await waitUntilReady(broker.url, READY_TIMEOUT_MS);
  return {
    endpoint: { url: broker.url },
    processes: [broker.measured()],
    version: VERSION,
    settings: [
      `millrace serve with default options${wants.tls === true ? ", TLS with an ECDSA P-256 certificate" : ""}`,
      `topics with durability ${durability}`,
    ],
    createTopics: (names) => createTopics(broker.url, names, durability),
    stop: () => children.end(broker.pid),
  };
}

/** Over one connection, many at a time: a driver would connect for each. */
async function createTopics(url: string, names: readonly string[], durability: Durability): Promise<void> {
  let failed: Error | undefined;
  const session = await BrokerSession.open(
    url,
    "bench-topics",
    quietEvents((error) => {
      failed = error;
    }),
  );
  for (let at = 0; at < names.length; at += REQUESTS_AT_ONCE) {
    if (failed !== undefined) throw failed;
    await Promise.all(
      names.slice(at, at + REQUESTS_AT_ONCE).map((name) => session.createTopic(name, durability)),
    );
  }
  session.close();
}
