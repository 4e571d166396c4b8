import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RunningSubject, ScenarioName, Subject, SubjectContext } from "../../suite/subjects/subject.ts";
import { missingPrograms, programPath } from "../peer-programs.ts";
import { versionOf } from "../program-output.ts";
import { freePort, ServerProcess } from "../server-process.ts";

const SCENARIOS: readonly ScenarioName[] = [
  "pinned-producer",
  "end-to-end",
  "fan-out",
  "fan-in",
  "many-topics",
  "idle-connections",
  "unbatched-latency",
];

async function start({ children, folder }: SubjectContext): Promise<RunningSubject> {
  const program = programPath("mosquitto");
  const port = await freePort();
  const config = join(folder, "mosquitto.conf");
  const lines = [
    `listener ${port} 127.0.0.1`,
    "allow_anonymous true",
    "persistence false",
    "set_tcp_nodelay true",
    // Without limits: by default a subscriber that is 1,000 messages behind loses some.
    "max_queued_messages 0",
    "max_inflight_messages 0",
    "max_connections -1",
    "log_type error",
  ];
  writeFileSync(config, `${lines.join("\n")}\n`);
  const server = await ServerProcess.start({
    children,
    label: "mosquitto",
    program,
    args: ["-c", config],
    port,
  });
  return {
    endpoint: { host: "127.0.0.1", port },
    processes: [server.measured()],
    version: versionOf(program, ["-h"], /version (\S+)/),
    settings: [
      "mosquitto: persistence false, set_tcp_nodelay true, max_queued_messages 0 and max_inflight_messages 0 (no limits)",
    ],
    stop: () => server.stop(),
  };
}

function subject(name: string, qos: 0 | 1): Subject {
  return {
    name,
    kind: "client",
    driver: new URL("./mosquitto-driver.js", import.meta.url).href,
    durabilities: ["memory"],
    supports: (scenario) => SCENARIOS.includes(scenario),
    available: () => Promise.resolve(missingPrograms("mosquitto")),
    start,
    driverOptions: () => ({ qos }),
  };
}

export const mosquittoSubjects: readonly Subject[] = [subject("mosquitto", 0), subject("mosquitto-qos1", 1)];
