import type { HelloResult, NodeEventData, NodeEventName } from "../cluster/control-messages.ts";
import type { Clock } from "../shard/clock.ts";
import { NodeClient, NodeRefusal } from "./node-client.ts";
import type { NodeProcess, ProcessEnd } from "./node-process.ts";
import { afterPendingInput } from "./pending-input.ts";
import type { SupervisorLimits } from "./supervisor-limits.ts";

/** What a watch has to tell of its node. */
export interface WatchEvents {
  /** It answers, for the first time or after its connection was lost: what was asked before may not be answered. */
  onGreeted(hello: HelloResult): void;
  onEvent(event: NodeEventName, data: NodeEventData[NodeEventName]): void;
  /** It lives no longer as far as we can see; said once. */
  onLost(reason: string): void;
  /** Its process is there no longer; said once, last. */
  onGone(end: ProcessEnd): void;
}

export interface WatchOptions {
  readonly nodeId: number;
  readonly process: NodeProcess;
  /** Of its control socket. */
  readonly path: string;
  /** It has been running for a while: it has to answer at once. */
  readonly isAdopted: boolean;
  readonly limits: SupervisorLimits;
  readonly clock: Clock;
  readonly events: WatchEvents;
}

/** One life of a node, as seen from the supervisor: its process, and the connection to its control socket. */
export class NodeWatch {
  readonly #options: WatchOptions;
  readonly #beat: NodeJS.Timeout;
  #client: NodeClient | undefined;
  #hello: HelloResult | undefined;
  /** When something last came from it, or, before it has answered, when that is counted from. */
  #heardMs: number;
  #beatMs: number;
  #deadline: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  /** `ending`: it was asked to drain, or is being killed. */
  #state: "greeting" | "watched" | "ending" | "over" = "greeting";

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#heardMs = options.clock.monotonicMs();
    this.#beatMs = this.#heardMs;
    this.#beat = setInterval(() => this.#onBeat(), options.limits.pingIntervalMs);
    void options.process.ended.then((end) => this.#onGone(end));
    void this.#connect();
  }

  get pid(): number {
    return this.#options.process.pid;
  }

  /** What it said last; stays when the connection is gone. */
  get hello(): HelloResult | undefined {
    return this.#hello;
  }

  /** Undefined while there is no connection, or it has not said hello on it. */
  get client(): NodeClient | undefined {
    return this.#state === "watched" || this.#state === "ending" ? this.#client : undefined;
  }

  /** It ends by itself; it is lost when it takes too long. */
  leaves(): void {
    if (this.#state === "watched") this.#awaitEnd();
  }

  /** Asks it to end; it is lost when it takes too long. */
  drain(): void {
    const client = this.client;
    this.#state = "ending";
    if (client === undefined) {
      this.#lose("it is not connected, and cannot be asked to drain");
      return;
    }
    client.request("drain", {}).catch((error: unknown) => {
      if (error instanceof NodeRefusal) this.#lose(`it refused to drain: ${error.code}: ${error.message}`);
    });
    this.#awaitEnd();
  }

  #awaitEnd(): void {
    const { limits } = this.#options;
    this.#state = "ending";
    this.#deadline = setTimeout(() => {
      this.#options.process.hurry();
      afterPendingInput(() => this.#lose(`it had not ended ${limits.drainMsMax} ms after it was asked to`));
    }, limits.drainMsMax);
  }

  /** Ends it; onGone follows when it has gone. */
  kill(): void {
    if (this.#state === "over") return;
    this.#state = "ending";
    this.#disconnect();
    this.#options.process.kill();
  }

  /** Watches no longer; the node lives on. */
  close(): void {
    this.#over();
    this.#options.process.forget();
  }

  async #connect(): Promise<void> {
    const { path, limits, process, nodeId } = this.#options;
    let client: NodeClient | undefined;
    try {
      client = await NodeClient.connect(path, limits.lineBytesMax, {
        onLine: () => this.#onLine(),
        onEvent: (event, data) => this.#options.events.onEvent(event, data),
        onClose: () => this.#onClose(client),
      });
      if (this.#isEnding) {
        client.close();
        return;
      }
      this.#client = client;
      const hello = await client.hello(globalThis.process.pid);
      if (this.#isEnding || this.#client !== client) return;
      if (hello.pid !== process.pid || hello.nodeId !== nodeId) {
        // Left by a supervisor that died before it could name it: in its place nobody comes up.
        if (hello.nodeId === nodeId) client.request("drain", {}).catch(() => {});
        this.#lose(`another process answers for it: pid=${hello.pid} nodeId=${hello.nodeId}`);
        return;
      }
      process.greeted();
      this.#hello = hello;
      this.#state = "watched";
      this.#options.events.onGreeted(hello);
    } catch (error) {
      if (this.#isEnding) return;
      if (error instanceof NodeRefusal) {
        this.#lose(`it refused a hello: ${error.code}: ${error.message}`);
      } else if (client === undefined) this.#onRefused(error as NodeJS.ErrnoException);
    }
  }

  get #isEnding(): boolean {
    return this.#state === "ending" || this.#state === "over";
  }

  #onRefused(error: NodeJS.ErrnoException): void {
    const isStarting = this.#hello === undefined && !this.#options.isAdopted;
    const isAbsent = error.code === "ENOENT" || error.code === "ECONNREFUSED";
    if (isAbsent && !isStarting) this.#lose(`its socket refuses: ${error.message}`);
    else this.#retry = setTimeout(() => void this.#connect(), this.#options.limits.connectRetryMs);
  }

  #onLine(): void {
    this.#heardMs = this.#options.clock.monotonicMs();
  }

  #onClose(client: NodeClient | undefined): void {
    if (client !== this.#client) return;
    this.#client = undefined;
    // Most often it has ended.
    this.#options.process.hurry();
    if (this.#isEnding) return;
    this.#state = "greeting";
    this.#retry = setTimeout(() => void this.#connect(), this.#options.limits.connectRetryMs);
  }

  #onBeat(): void {
    const { clock, limits, isAdopted } = this.#options;
    const nowMs = clock.monotonicMs();
    // Stopped or starved ourselves we have heard nobody, whoever spoke.
    if (nowMs - this.#beatMs > 2 * limits.pingIntervalMs) this.#heardMs = nowMs;
    this.#beatMs = nowMs;
    if (this.#isEnding) return;
    const isStarting = this.#hello === undefined && !isAdopted;
    const silenceMsMax = isStarting ? limits.greetMsMax : limits.silenceMsMax;
    if (nowMs - this.#heardMs > silenceMsMax) {
      this.#lose(`nothing has come from it for ${silenceMsMax} ms`);
      return;
    }
    this.client?.request("ping", {}).catch(() => {});
  }

  #lose(reason: string): void {
    if (this.#state === "over") return;
    clearTimeout(this.#deadline);
    this.#state = "ending";
    this.#options.events.onLost(reason);
  }

  #onGone(end: ProcessEnd): void {
    if (this.#state === "over") return;
    this.#over();
    this.#options.events.onGone(end);
  }

  #over(): void {
    this.#state = "over";
    clearInterval(this.#beat);
    clearTimeout(this.#deadline);
    this.#disconnect();
  }

  #disconnect(): void {
    clearTimeout(this.#retry);
    const client = this.#client;
    this.#client = undefined;
    client?.close();
  }
}
