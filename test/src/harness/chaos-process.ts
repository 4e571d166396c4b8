import type { Test } from "tap";
import { BrokerProcess } from "./broker-process.ts";
import type { ChaosAction } from "./chaos.ts";
import { TcpRelay } from "./tcp-relay.ts";
import { pauseMs } from "./waiting.ts";

/** A broker gives up a shard thread that dies more often. */
const CRASHES_MAX = 8;
/** Longer than what is on its way takes to arrive, shorter than what makes clients give up. */
const STOP_MS_MAX = 2_000;

/** A broker of one process, to which bad things are done. */
export class ChaosProcess {
  readonly #t: Test;
  readonly #dataDir: string;
  readonly #relay: TcpRelay;
  #broker: BrokerProcess;
  #crashes = 0;

  private constructor(t: Test, dataDir: string, broker: BrokerProcess, relay: TcpRelay) {
    this.#t = t;
    this.#dataDir = dataDir;
    this.#broker = broker;
    this.#relay = relay;
  }

  static async start(t: Test, dataDir: string, shards: number): Promise<ChaosProcess> {
    const args = ["--shards", String(shards), "--threads", "2"];
    const broker = await BrokerProcess.start(t, { dataDir, args, isCrashable: true, target: "process" });
    return new ChaosProcess(t, dataDir, broker, await TcpRelay.start(t, broker.port));
  }

  /** Where the broker is in all its lives. */
  get url(): string {
    return this.#relay.url;
  }

  /** Lines of the log of its present life. */
  get broker(): BrokerProcess {
    return this.#broker;
  }

  get actions(): ChaosAction[] {
    const target = "broker";
    return [
      {
        name: "kill",
        weight: 3,
        run: async (_random, tell) => {
          tell("kill", target);
          await this.#broker.kill();
          await this.#restart();
        },
      },
      {
        name: "stop",
        weight: 2,
        run: async (random, tell) => {
          tell("stop", target);
          this.#broker.process.signal("SIGSTOP");
          await pauseMs(random.between(100, STOP_MS_MAX));
          this.#broker.process.signal("SIGCONT");
          tell("continue", target);
        },
      },
      {
        name: "crash",
        weight: 3,
        run: async (_random, tell) => {
          if (this.#crashes >= CRASHES_MAX) return;
          this.#crashes += 1;
          tell("crash", "a shard thread");
          this.#broker.process.signal("SIGUSR2");
        },
      },
    ];
  }

  async #restart(): Promise<void> {
    this.#crashes = 0;
    this.#broker = await BrokerProcess.start(this.#t, {
      dataDir: this.#dataDir,
      args: ["--threads", "2"],
      isCrashable: true,
      target: "process",
    });
    this.#relay.targetPort = this.#broker.port;
  }
}
