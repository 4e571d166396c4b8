import type { Test } from "tap";
import { BrokerProcess } from "./broker-process.ts";
import type { ChaosAction, Tell } from "./chaos.ts";
import { monotonicMs } from "./clock.ts";
import type { ForeignProcess } from "./foreign-process.ts";
import { runCommand } from "./millrace-command.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { pauseMs } from "./waiting.ts";

/** A supervisor leaves a node down that dies five times in a minute. */
const DEATHS_MAX = 3;
const DEATHS_WINDOW_MS = 60_000;
/** Shorter than what the supervisor takes for death … */
const SHORT_STOP_MS = [100, 2_000] as const;
/** … and so long that somebody else has the node's shards when it goes on, if it ever does. */
const LONG_STOP_MS = 15_000;
/** As `BrokerProcess` starts a cluster. */
const NODES = 3;
const SHARDS = 4;

/** What is done, and how often against the others. `restart` rolls through the nodes; `move` gives a shard to another node. */
const WEIGHTS = {
  kill: 3,
  stop: 2,
  "stop long": 1,
  crash: 3,
  "kill supervisor": 2,
  "stop supervisor": 1,
  restart: 1,
  move: 2,
} as const;

type Deed = keyof typeof WEIGHTS;

/** A cluster to which bad things are done. */
export class ChaosCluster {
  readonly #t: Test;
  readonly #dataDir: string;
  readonly #deaths: { readonly nodeId: number; readonly ms: number }[] = [];
  readonly #begun: Set<Promise<void>> = new Set();
  #supervisor: BrokerProcess;

  private constructor(t: Test, dataDir: string, supervisor: BrokerProcess) {
    this.#t = t;
    this.#dataDir = dataDir;
    this.#supervisor = supervisor;
  }

  static async start(t: Test, dataDir: string): Promise<ChaosCluster> {
    return new ChaosCluster(t, dataDir, await startCluster(t, dataDir, 0));
  }

  get url(): string {
    return this.#supervisor.url;
  }

  /** The supervisor that runs by now. */
  get supervisor(): BrokerProcess {
    return this.#supervisor;
  }

  get actions(): ChaosAction[] {
    return (Object.keys(WEIGHTS) as Deed[]).map((name) => ({
      name,
      weight: WEIGHTS[name],
      run: (random, tell) => this.#do(name, random, tell),
    }));
  }

  async #do(name: Deed, random: SeededRandom, tell: Tell): Promise<void> {
    const restMs = random.between(...SHORT_STOP_MS);
    const choice = random.uint32();
    if (name === "kill supervisor") return this.#killSupervisor(restMs, tell);
    if (name === "stop supervisor") {
      const { process } = this.#supervisor;
      return this.#stop(process, `supervisor, process ${process.pid}`, restMs, tell);
    }
    if (name === "restart") {
      tell("restart", "all nodes");
      this.#supervisor.process.signal("SIGHUP");
      return;
    }
    if (name === "move") return this.#move(choice, tell);
    const node = this.#node(choice, name !== "stop");
    if (node === undefined) return;
    const target = `node ${node.nodeId}, process ${node.process.pid}`;
    if (name === "crash") {
      tell("crash", `the shard threads of ${target}`);
      node.process.signal("SIGUSR2");
      return;
    }
    if (name === "kill") {
      tell("kill", target);
      await node.process.kill();
      return;
    }
    this.#stop(node.process, target, name === "stop" ? restMs : LONG_STOP_MS, tell);
  }

  /** It goes on after that time, if it still can; meanwhile other things are done. */
  #stop(process: { signal(name: NodeJS.Signals): unknown }, target: string, ms: number, tell: Tell): void {
    tell("stop", target);
    process.signal("SIGSTOP");
    const going = pauseMs(ms).then(() => {
      process.signal("SIGCONT");
      tell("continue", target);
      this.#begun.delete(going);
    });
    this.#begun.add(going);
  }

  /** Resolves when everything that was stopped goes on, and nothing that was begun is under way. */
  async settle(): Promise<void> {
    await Promise.all(this.#begun);
  }

  /** Whether it is done or refused: it may be under way to somewhere else, or its node may be down. */
  #move(choice: number, tell: Tell): void {
    const [shard, node] = [choice % SHARDS, (choice >>> 8) % NODES];
    tell("move", `shard ${shard} to node ${node}`);
    const args = ["shard", "move", `${shard}`, "--to", `${node}`, "--data", this.#dataDir];
    this.#begun.add(runCommand(this.#t, args).then(() => {}));
  }

  /** One that runs; one that may die as well, where it is to be `mortal`. */
  #node(choice: number, mortal: boolean): { nodeId: number; process: ForeignProcess } | undefined {
    const sinceMs = monotonicMs() - DEATHS_WINDOW_MS;
    const recent = this.#deaths.filter(({ ms }) => ms > sinceMs);
    const nodes = [...this.#supervisor.nodes]
      .map(([nodeId, process]) => ({ nodeId, process }))
      .filter(({ process }) => process.isRunning)
      .filter(({ nodeId }) => !mortal || recent.filter((one) => one.nodeId === nodeId).length < DEATHS_MAX);
    const node = nodes[choice % Math.max(1, nodes.length)];
    if (node !== undefined && mortal) this.#deaths.push({ nodeId: node.nodeId, ms: monotonicMs() });
    return node;
  }

  async #killSupervisor(restMs: number, tell: Tell): Promise<void> {
    const { port } = this.#supervisor;
    tell("kill", "supervisor");
    await this.#supervisor.process.kill("SIGKILL");
    await pauseMs(restMs);
    this.#supervisor = await startCluster(this.#t, this.#dataDir, port);
    tell("start", "supervisor");
  }
}

function startCluster(t: Test, dataDir: string, port: number): Promise<BrokerProcess> {
  return BrokerProcess.start(t, { dataDir, port, target: "cluster", isCrashable: true });
}
