import type { CommandContext } from "../command-context.ts";
import type { BrokerLog } from "../output/broker-log.ts";
import type { ServedBroker } from "./serve-broker.ts";

/** While the nodes are being restarted for another reason, it is tried again so often. */
const RETRY_MS = 500;

/**
 * SIGHUP while a cluster is served: the configuration is read again, and the nodes are restarted with it one by one. From a
 * terminal the same signal says that its window was closed: then it is the end, as SIGTERM is. A broker of one process
 * does not listen to it, once it serves.
 */
export class Reloading {
  /** Resolves when the terminal was closed. */
  readonly hungUp: Promise<undefined>;
  readonly #context: CommandContext;
  readonly #logger: BrokerLog;
  readonly #onSignal = (): void => this.#signalled();
  #hangUp: () => void = () => {};
  #broker: ServedBroker | undefined;
  #isReloading = false;
  /** A signal came that is still to be followed. */
  #isWanted = false;
  #timer: NodeJS.Timeout | undefined;

  /** Listens from here on: a signal while the broker starts must not end it half-way. */
  constructor(context: CommandContext, logger: BrokerLog) {
    this.#context = context;
    this.#logger = logger;
    this.hungUp = new Promise((resolve) => {
      this.#hangUp = () => resolve(undefined);
    });
    context.signals.on("SIGHUP", this.#onSignal);
  }

  begin(broker: ServedBroker): void {
    if (broker.reload === undefined) {
      this.dispose();
      if (this.#isWanted) this.#hangUp();
      return;
    }
    this.#broker = broker;
    if (this.#isWanted) void this.#reload(broker);
  }

  dispose(): void {
    this.#context.signals.off("SIGHUP", this.#onSignal);
    clearTimeout(this.#timer);
  }

  #signalled(): void {
    if ((this.#context.stdout as { readonly isTTY?: boolean }).isTTY === true) {
      this.#hangUp();
      return;
    }
    this.#isWanted = true;
    if (this.#broker !== undefined && !this.#isReloading) void this.#reload(this.#broker);
  }

  /** Until no further signal has come meanwhile. */
  async #reload(broker: ServedBroker): Promise<void> {
    this.#isReloading = true;
    clearTimeout(this.#timer);
    this.#logger.log("info", "reloading");
    try {
      while (this.#isWanted) {
        this.#isWanted = false;
        await broker.reload?.();
      }
    } catch (error) {
      // What runs goes on as it is.
      if ((error as { readonly code?: unknown }).code !== "INVALID_REQUEST") {
        this.#logger.log("error", "reload-failed", { error });
      } else {
        this.#logger.log("info", "reload-waits", { reason: (error as Error).message });
        this.#isWanted = true;
        this.#timer = setTimeout(() => void this.#reload(broker), RETRY_MS);
      }
    } finally {
      this.#isReloading = false;
    }
  }
}
