import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { RunningSubject, SubjectContext } from "../../suite/subjects/subject.ts";
import { findProgram, missingPrograms, programPath } from "../peer-programs.ts";
import { freePort, ServerProcess } from "../server-process.ts";

/** Debian's `rabbitmq-server` changes to another user; this is what it calls. */
const DEBIAN_SCRIPT = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const DEBIAN_LIBRARIES = "/usr/lib/rabbitmq/lib";
/** Ten seconds of CPU on a slow core, and more where others want it too. */
const START_TIMEOUT_MS = 120_000;
const DEBIAN_WRAPPER = "/usr/sbin/rabbitmq-server";

export function missingRabbitMq(): string | undefined {
  if (serverScript() === undefined) return "rabbitmq-server not found: bench/peers/setup.sh installs it";
  return missingPrograms("epmd");
}

/** Starts a node of its own, with its port mapper, on free loopback ports and with all of its data below the folder. */
export async function startRabbitMq(context: SubjectContext): Promise<RunningSubject> {
  const { children, folder } = context;
  const program = serverScript();
  if (program === undefined) throw new Error("not installed: program=rabbitmq-server");
  const [port, streamPort, mapperPort, nodePort] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  mkdirSync(folder, { recursive: true });
  const config = join(folder, "rabbitmq.conf");
  const plugins = join(folder, "enabled_plugins");
  writeFileSync(config, configuration(port, streamPort));
  writeFileSync(plugins, "[rabbitmq_stream].\n");
  const mapperEnv = { ERL_EPMD_PORT: String(mapperPort), ERL_EPMD_ADDRESS: "127.0.0.1" };
  const mapper = await ServerProcess.start({
    children,
    label: "epmd",
    program: programPath("epmd"),
    args: ["-port", String(mapperPort), "-address", "127.0.0.1"],
    env: mapperEnv,
    port: mapperPort,
  });
  try {
    const server = await ServerProcess.start({
      children,
      label: "rabbitmq",
      program,
      args: [],
      env: { ...mapperEnv, ...serverEnvironment(folder, config, plugins, nodePort) },
      // The stream plugin is started last.
      port: streamPort,
      startTimeoutMs: START_TIMEOUT_MS,
    });
    return {
      endpoint: { host: "127.0.0.1", port, streamPort },
      processes: [server.measured(), mapper.measured()],
      version: serverVersion(program),
      settings: [
        "RabbitMQ: one node, stream plugin on, management plugin off, no TLS, defaults otherwise",
        "RabbitMQ: Debian's release; newer ones exist, are faster in places, and are in no registry that setup.sh uses",
      ],
      stop: async () => {
        await server.stop();
        await mapper.stop();
      },
    };
  } catch (error) {
    await mapper.stop();
    throw error;
  }
}

function serverEnvironment(
  folder: string,
  config: string,
  plugins: string,
  nodePort: number,
): NodeJS.ProcessEnv {
  return {
    // The cookie of the node goes there too.
    HOME: folder,
    RABBITMQ_NODENAME: "bench@localhost",
    RABBITMQ_MNESIA_BASE: join(folder, "mnesia"),
    RABBITMQ_LOG_BASE: join(folder, "log"),
    RABBITMQ_CONFIG_FILE: config,
    RABBITMQ_ADVANCED_CONFIG_FILE: join(folder, "advanced.config"),
    RABBITMQ_ENABLED_PLUGINS_FILE: plugins,
    RABBITMQ_DIST_PORT: String(nodePort),
    // Nothing of /etc/rabbitmq is read.
    RABBITMQ_CONF_ENV_FILE: "/dev/null",
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "-kernel inet_dist_use_interface {127,0,0,1}",
    // The script becomes the server then, instead of its parent, so that its pid is the one to measure and to end.
    detached: "true",
    LANG: "C.UTF-8",
  };
}

function configuration(port: number, streamPort: number): string {
  return [
    `listeners.tcp.1 = 127.0.0.1:${port}`,
    `stream.listeners.tcp.1 = 127.0.0.1:${streamPort}`,
    "log.console = true",
    "log.console.level = warning",
    "log.file = false",
    "",
  ].join("\n");
}

/** The peers' folder comes first, then Debian's package, then PATH. */
function serverScript(): string | undefined {
  const found = findProgram("rabbitmq-server");
  if (found !== undefined && found !== DEBIAN_WRAPPER) return found;
  return existsSync(DEBIAN_SCRIPT) ? DEBIAN_SCRIPT : undefined;
}

/** Of the name of its library's folder: asking the program itself takes seconds. */
function serverVersion(script: string): string {
  const folders = [DEBIAN_LIBRARIES, dirname(dirname(dirname(script)))];
  for (const folder of script === DEBIAN_SCRIPT ? folders : folders.reverse()) {
    if (!existsSync(folder)) continue;
    const name = readdirSync(folder).find((each) => each.startsWith("rabbitmq_server-"));
    if (name !== undefined) return name.slice("rabbitmq_server-".length);
  }
  return "unknown";
}
