import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RunningSubject, SubjectContext } from "../../suite/subjects/subject.ts";
import { programPath } from "../peer-programs.ts";
import { versionOf } from "../program-output.ts";
import { freePort, ServerProcess } from "../server-process.ts";

/**
 * What the server may hold for one connection before it counts as a slow consumer and is cut off. The default of 64 MiB
 * ends saturated runs in which a subscriber is slower than its publishers; the server makes publishers wait before that.
 */
const MAX_PENDING = "512MB";

/** Starts nats-server with JetStream's data, if any, below the folder. */
export async function startNatsServer(context: SubjectContext, jetstream: boolean): Promise<RunningSubject> {
  const { children, folder, durability } = context;
  const program = programPath("nats-server");
  const port = await freePort();
  const lines = [`listen: "127.0.0.1:${port}"`, `max_pending: ${MAX_PENDING}`, "write_deadline: 60s"];
  const settings = [`nats-server: max_pending ${MAX_PENDING}, write_deadline 60s, no TLS, no authorization`];
  if (jetstream) {
    const sync = durability === "fsynced" ? "always" : "2m";
    lines.push("jetstream {", `  store_dir: ${JSON.stringify(join(folder, "jetstream"))}`);
    lines.push("  max_memory_store: 4GB", "  max_file_store: 64GB", `  sync_interval: ${sync}`, "}");
    if (durability === "memory") settings.push("JetStream: memory storage, one replica");
    else {
      const meaning =
        sync === "always" ? "an fsync before each ack" : "the default: acks from the page cache";
      settings.push(`JetStream: file storage, one replica, sync_interval ${sync} (${meaning})`);
    }
  }
  const config = join(folder, "nats.conf");
  writeFileSync(config, `${lines.join("\n")}\n`);
  const server = await ServerProcess.start({
    children,
    label: "nats-server",
    program,
    args: ["--config", config],
    port,
  });
  return {
    endpoint: { host: "127.0.0.1", port },
    processes: [server.measured()],
    version: versionOf(program, ["--version"], /v(\d\S*)/),
    settings,
    stop: () => server.stop(),
  };
}
