import type { MessagePort } from "node:worker_threads";
import { type Agent, AgentRunner, Doorbell, DoorbellIdleStrategy, OneToOneRingBuffer } from "@millrace/core";
import { BROKER_LIMITS } from "../limits.ts";
import { LINK_STATE } from "../link/link-buffers.ts";
import { SharedAheadSlots } from "../reader/ahead-slots.ts";
import { type ColdReadMessage, decodeColdRead } from "../reader/cold-read-message.ts";
import { ColdReadServer } from "../reader/cold-read-server.ts";
import { JournalColdEntries, openColdReader } from "../reader/journal-cold-entries.ts";
import { LiveWrites } from "../reader/live-writes.ts";
import type { Clock } from "../shard/clock.ts";
import { SYSTEM_CLOCK } from "../system-clock.ts";
import { ThreadControl } from "./thread-control.ts";
import type { LogMessage, ReaderThreadData, ToReaderThread } from "./thread-messages.ts";

const RING_HEADER_BYTES = 8;

/**
 * The agent of the reader thread: takes one cold read of each shard thread in turn, so that no laggard waits
 * for another's whole history, and answers into its own ring to the gateway. A stream has one read under way, so
 * the reads of one shard thread take turns by standing in line. A search through many files is interrupted for
 * the others.
 */
export class ReaderThreadAgent implements Agent {
  readonly name = "reader-thread";
  readonly #control: ThreadControl<ToReaderThread>;
  readonly #requests: (OneToOneRingBuffer | undefined)[];
  readonly #outbound: OneToOneRingBuffer;
  readonly #state: Int32Array;
  readonly #gatewayDoorbell: Doorbell;
  readonly #server: ColdReadServer;
  readonly #entries: JournalColdEntries;
  readonly #clock: Clock;
  readonly #liveWrites: LiveWrites;
  /** Decoded, and waiting for room in the outbound ring. */
  #blocked: ColdReadMessage | undefined;
  /** Their searches go on, one step of one of them in each round. */
  readonly #unfinished: ColdReadMessage[] = [];
  #sweepAtMs = 0;
  #restUntilMs = 0;

  private constructor(data: ReaderThreadData, port: MessagePort, clock: Clock) {
    this.#clock = clock;
    this.#liveWrites = new LiveWrites(data.liveWrites, clock);
    const { buffers, doorbell } = data.ahead;
    this.#entries = new JournalColdEntries(
      openColdReader(
        data.shardsDirectory,
        this.#liveWrites,
        new SharedAheadSlots(buffers, Doorbell.attach(doorbell)),
      ),
    );
    this.#control = new ThreadControl(port, data.control);
    this.#requests = new Array<OneToOneRingBuffer | undefined>(data.threads).fill(undefined);
    this.#outbound = OneToOneRingBuffer.attach(data.outbound);
    this.#state = new Int32Array(data.state);
    this.#gatewayDoorbell = Doorbell.attach(data.gatewayDoorbell, () => port.postMessage(null));
    this.#server = new ColdReadServer(this.#entries, this.#outbound, (event, fields) => {
      port.postMessage({ kind: "log", level: "error", event, fields } satisfies LogMessage);
    });
  }

  /** Runs until the node terminates the thread. */
  static start(data: ReaderThreadData, port: MessagePort): void {
    const agent = new ReaderThreadAgent(data, port, SYSTEM_CLOCK);
    let failure: unknown;
    const runner = new AgentRunner(
      agent,
      new DoorbellIdleStrategy(Doorbell.attach(data.doorbell)),
      (error) => {
        failure = error;
        runner.close();
      },
    );
    runner.run();
    throw failure;
  }

  doWork(): number {
    let work = this.#control.poll((message) => {
      this.#requests[message.thread] = OneToOneRingBuffer.attach(message.ring);
    });
    if (this.#liveWrites.isBusy) work += this.#readWithRests();
    else work += this.#readInTurn();
    if (this.#entries.holdsFiles) this.#sweep();
    return work;
  }

  nextTimerMs(): number {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs < this.#restUntilMs) return this.#restUntilMs - nowMs;
    return this.#entries.holdsFiles ? this.#sweepAtMs - nowMs : Number.POSITIVE_INFINITY;
  }

  onClose(): void {}

  /** While others write: rests as long as a round has taken, so that disk and cores are theirs half of the time at least. */
  #readWithRests(): number {
    const startedMs = this.#clock.monotonicMs();
    if (startedMs < this.#restUntilMs) return 0;
    const work = this.#readInTurn();
    if (work > 0) {
      const endedMs = this.#clock.monotonicMs();
      this.#restUntilMs = endedMs + (endedMs - startedMs);
    }
    return work;
  }

  /** One read of each shard thread; or, if there is none, what the last stream will want next. */
  #readInTurn(): number {
    let work = 0;
    if (this.#blocked !== undefined) {
      const message = this.#blocked;
      this.#blocked = undefined;
      if (this.#serve(message)) work += 1;
    }
    const unfinished = this.#blocked === undefined ? this.#unfinished.shift() : undefined;
    if (unfinished !== undefined) {
      this.#serve(unfinished);
      work += 1;
    }
    for (const ring of this.#requests) {
      if (ring === undefined || this.#blocked !== undefined) continue;
      if (this.#unfinished.length >= BROKER_LIMITS.unfinishedColdReadsMax) break;
      if (ring.poll() === 0) continue;
      const index = ring.next();
      if (index < 0) continue;
      const length = ring.words[index >> 2] as number;
      const payload = Uint8Array.prototype.slice.call(ring.bytes, index + RING_HEADER_BYTES, index + length);
      ring.advance();
      ring.release();
      this.#serve(decodeColdRead(payload));
      work += 1;
    }
    if (work === 0 && this.#blocked === undefined && this.#server.readAhead()) work = 1;
    return work;
  }

  /** Answers the message, or keeps it. @returns whether it did anything */
  #serve(message: ColdReadMessage): boolean {
    const server = this.#server;
    let answered = server.serve(message);
    if (!answered && !server.isUnfinished) {
      Atomics.store(this.#state, LINK_STATE.SHARD_WAITS, 1);
      // The gateway may have made room between the claim and the flag.
      answered = server.serve(message);
    }
    // The gateway works on an answer while the next one is made.
    if (this.#outbound.publish()) this.#gatewayDoorbell.ring();
    if (answered) return true;
    if (!server.isUnfinished) {
      this.#blocked = message;
      return false;
    }
    this.#unfinished.push(message);
    return true;
  }

  /** Files that nobody reads any more are closed: if they were removed, only that gives their room back. */
  #sweep(): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs < this.#sweepAtMs) return;
    this.#sweepAtMs = nowMs + BROKER_LIMITS.coldFilesIdleMs;
    this.#entries.closeIdle();
  }
}
