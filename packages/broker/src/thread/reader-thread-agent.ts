import type { MessagePort } from "node:worker_threads";
import { type Agent, AgentRunner, Doorbell, OneToOneRingBuffer } from "@millrace/core";
import { LINK_STATE } from "../link/link-buffers.ts";
import { type ColdReadMessage, decodeColdRead } from "../reader/cold-read-message.ts";
import { ColdReadServer } from "../reader/cold-read-server.ts";
import { JournalColdEntries } from "../reader/journal-cold-entries.ts";
import { ThreadControl } from "./thread-control.ts";
import type { LogMessage, ReaderThreadData, ToReaderThread } from "./thread-messages.ts";

const RING_HEADER_BYTES = 8;

/**
 * The agent of the reader thread: takes one cold read of each shard thread in turn, so that no laggard waits
 * for another's whole history, and answers into its own ring to the gateway.
 */
export class ReaderThreadAgent implements Agent {
  readonly name = "reader-thread";
  readonly #control: ThreadControl<ToReaderThread>;
  readonly #requests: (OneToOneRingBuffer | undefined)[];
  readonly #outbound: OneToOneRingBuffer;
  readonly #state: Int32Array;
  readonly #gatewayDoorbell: Doorbell;
  readonly #server: ColdReadServer;
  /** Decoded, and waiting for room in the outbound ring. */
  #blocked: ColdReadMessage | undefined;

  private constructor(data: ReaderThreadData, port: MessagePort) {
    this.#control = new ThreadControl(port, data.control);
    this.#requests = new Array<OneToOneRingBuffer | undefined>(data.threads).fill(undefined);
    this.#outbound = new OneToOneRingBuffer(data.outbound);
    this.#state = new Int32Array(data.state);
    this.#gatewayDoorbell = new Doorbell(data.gatewayDoorbell, () => port.postMessage(null));
    this.#server = new ColdReadServer(
      new JournalColdEntries(data.shardsDirectory),
      this.#outbound,
      (event, fields) => {
        port.postMessage({ kind: "log", level: "error", event, fields } satisfies LogMessage);
      },
    );
  }

  /** Runs until the node terminates the thread. */
  static start(data: ReaderThreadData, port: MessagePort): void {
    const agent = new ReaderThreadAgent(data, port);
    let failure: unknown;
    const runner = new AgentRunner(agent, new Doorbell(data.doorbell), (error) => {
      failure = error;
      runner.close();
    });
    runner.run();
    throw failure;
  }

  doWork(): number {
    let work = this.#control.poll((message) => {
      this.#requests[message.thread] = new OneToOneRingBuffer(message.ring);
    });
    if (this.#blocked !== undefined && this.#serve(this.#blocked)) {
      this.#blocked = undefined;
      work += 1;
    }
    for (const ring of this.#requests) {
      if (ring === undefined || this.#blocked !== undefined) continue;
      if (ring.poll() === 0) continue;
      const index = ring.next();
      if (index < 0) continue;
      const length = ring.words[index >> 2] as number;
      const payload = Uint8Array.prototype.slice.call(ring.bytes, index + RING_HEADER_BYTES, index + length);
      ring.advance();
      ring.release();
      const message = decodeColdRead(payload);
      if (!this.#serve(message)) this.#blocked = message;
      work += 1;
    }
    if (this.#outbound.publish()) this.#gatewayDoorbell.ring();
    return work;
  }

  nextTimerMs(): number {
    return Number.POSITIVE_INFINITY;
  }

  onClose(): void {}

  #serve(message: ColdReadMessage): boolean {
    if (this.#server.serve(message)) return true;
    Atomics.store(this.#state, LINK_STATE.SHARD_WAITS, 1);
    // The gateway may have made room between the claim and the flag.
    return this.#server.serve(message);
  }
}
