import type { RunningSubject, SubjectContext } from "../../suite/subjects/subject.ts";
import { programPath } from "../peer-programs.ts";
import { versionOf } from "../program-output.ts";
import { freePort, ServerProcess } from "../server-process.ts";

/** Starts redis-server; its append-only file makes the durability. */
export async function startRedisServer(context: SubjectContext): Promise<RunningSubject> {
  const { children, folder, durability } = context;
  const program = programPath("redis-server");
  const port = await freePort();
  const sync = { memory: undefined, written: "no", fsynced: "always" }[durability];
  const persistence =
    sync === undefined
      ? ["--appendonly", "no"]
      : // A rewrite of the file during a run would compete with the load; without one Redis does less work.
        ["--appendonly", "yes", "--appendfsync", sync, "--auto-aof-rewrite-percentage", "0"];
  const args = [
    ...["--bind", "127.0.0.1", "--port", String(port), "--dir", folder, "--daemonize", "no"],
    // No snapshots: their forks would compete with the load.
    ...["--save", "", ...persistence],
    // A subscriber that falls behind is otherwise cut off at 32 MB, or at 8 MB for a minute.
    ...["--client-output-buffer-limit", "pubsub 0 0 0", "--maxclients", "20000", "--tcp-backlog", "1024"],
  ];
  const server = await ServerProcess.start({ children, label: "redis-server", program, args, port });
  const meaning = {
    memory: "appendonly no",
    written: "appendonly yes, appendfsync no (answers from the page cache), no rewrites",
    fsynced: "appendonly yes, appendfsync always, no rewrites",
  }[durability];
  return {
    endpoint: { host: "127.0.0.1", port },
    processes: [server.measured()],
    version: versionOf(program, ["--version"], /v=(\S+)/),
    settings: [
      `redis-server: ${meaning}, save "" (no snapshots)`,
      "redis-server: client-output-buffer-limit pubsub 0 0 0; io-threads 1, the default (more was not measured)",
    ],
    stop: () => server.stop(),
  };
}
