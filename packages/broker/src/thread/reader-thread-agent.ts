import type { MessagePort } from "node:worker_threads";
import { type Agent, AgentRunner, Doorbell, DoorbellIdleStrategy, OneToOneRingBuffer } from "@millrace/core";
import { BROKER_LIMITS } from "../limits.ts";
import { SharedAheadSlots } from "../reader/ahead-slots.ts";
import { AnswerLane, BLOCKED, INTERRUPTED } from "../reader/answer-lane.ts";
import { type ColdReadMessage, decodeColdRead } from "../reader/cold-read-message.ts";
import { JournalColdEntries, openColdReader } from "../reader/journal-cold-entries.ts";
import { LiveWrites } from "../reader/live-writes.ts";
import type { Clock } from "../shard/clock.ts";
import { SYSTEM_CLOCK } from "../system-clock.ts";
import { ThreadControl } from "./thread-control.ts";
import type { LogMessage, ReaderThreadData, ToReaderThread } from "./thread-messages.ts";

const RING_HEADER_BYTES = 8;

/** A shard thread as the reader sees it. */
interface AttachedThread {
  readonly reads: OneToOneRingBuffer;
  readonly fetches: OneToOneRingBuffer;
  readonly fetched: AnswerLane;
}

interface UnfinishedRead {
  readonly lane: AnswerLane;
  readonly message: ColdReadMessage;
}

/**
 * The agent of the reader thread: takes one cold read and one fetch of each shard thread in turn, so that no laggard waits
 * for another's whole history, and answers into its own ring to the gateway, or to the shard thread. A stream has one read
 * under way, so the reads of one shard thread take turns by standing in line. A search through many files is interrupted
 * for the others, and a full ring stops nobody but those whose answers go into it.
 */
export class ReaderThreadAgent implements Agent {
  readonly name = "reader-thread";
  readonly #control: ThreadControl<ToReaderThread>;
  readonly #threads: (AttachedThread | undefined)[];
  readonly #gateway: AnswerLane;
  readonly #entries: JournalColdEntries;
  readonly #log: (event: string, fields: Record<string, unknown>) => void;
  readonly #clock: Clock;
  readonly #liveWrites: LiveWrites;
  /** The gateway's, and those of the shard threads. */
  #lanes: readonly AnswerLane[];
  /** Their searches go on, one step of one of them in each round. */
  readonly #unfinished: UnfinishedRead[] = [];
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
    this.#threads = new Array<AttachedThread | undefined>(data.threads).fill(undefined);
    this.#log = (event, fields) => {
      port.postMessage({ kind: "log", level: "error", event, fields } satisfies LogMessage);
    };
    this.#gateway = this.#lane(
      data.outbound,
      data.state,
      Doorbell.attach(data.gatewayDoorbell, () => port.postMessage(null)),
    );
    this.#lanes = [this.#gateway];
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
    let work = this.#control.poll((message) => this.#attach(message));
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

  /** A shard thread that was restarted has forgotten what it had asked for. */
  #attach({ thread, link, doorbell }: ToReaderThread): void {
    const lost = this.#threads[thread]?.fetched;
    const kept = this.#unfinished.filter(({ lane }) => lane !== lost);
    this.#unfinished.splice(0, this.#unfinished.length, ...kept);
    this.#threads[thread] = {
      reads: OneToOneRingBuffer.attach(link.reads),
      fetches: OneToOneRingBuffer.attach(link.fetches),
      fetched: this.#lane(link.fetched, link.state, Doorbell.attach(doorbell)),
    };
    const fetched = this.#threads.flatMap((attached) => (attached === undefined ? [] : [attached.fetched]));
    this.#lanes = [this.#gateway, ...fetched];
  }

  #lane(ring: SharedArrayBuffer, state: SharedArrayBuffer, doorbell: Doorbell): AnswerLane {
    return new AnswerLane(
      this.#entries,
      OneToOneRingBuffer.attach(ring),
      new Int32Array(state),
      doorbell,
      this.#log,
    );
  }

  /** One read and one fetch of each shard thread; or, if there is none, what the last ones answered will want next. */
  #readInTurn(): number {
    let work = 0;
    for (const lane of this.#lanes) {
      const message = lane.takeBlocked();
      if (message !== undefined && this.#serve(lane, message)) work += 1;
    }
    work += this.#goOn();
    for (const thread of this.#threads) {
      if (thread === undefined) continue;
      work += this.#takeNext(thread.reads, this.#gateway);
      work += this.#takeNext(thread.fetches, thread.fetched);
    }
    if (work > 0) return work;
    for (const lane of this.#lanes) if (lane.readAhead()) work += 1;
    return work;
  }

  /** One step of a search that was interrupted. */
  #goOn(): number {
    const at = this.#unfinished.findIndex(({ lane }) => !lane.isBlocked);
    const [unfinished] = at < 0 ? [] : this.#unfinished.splice(at, 1);
    if (unfinished === undefined) return 0;
    this.#serve(unfinished.lane, unfinished.message);
    return 1;
  }

  /** Serves the next request of a ring, unless those before it wait for room for their answers. */
  #takeNext(ring: OneToOneRingBuffer, lane: AnswerLane): number {
    if (lane.isBlocked || this.#unfinished.length >= BROKER_LIMITS.unfinishedColdReadsMax) return 0;
    if (ring.poll() === 0) return 0;
    const index = ring.next();
    if (index < 0) return 0;
    const length = ring.words[index >> 2] as number;
    const payload = Uint8Array.prototype.slice.call(ring.bytes, index + RING_HEADER_BYTES, index + length);
    ring.advance();
    ring.release();
    this.#serve(lane, decodeColdRead(payload));
    return 1;
  }

  /** Answers the message, or it is kept. @returns whether that did anything */
  #serve(lane: AnswerLane, message: ColdReadMessage): boolean {
    const outcome = lane.serve(message);
    if (outcome === INTERRUPTED) this.#unfinished.push({ lane, message });
    return outcome !== BLOCKED;
  }

  /** Files that nobody reads any more are closed: if they were removed, only that gives their room back. */
  #sweep(): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs < this.#sweepAtMs) return;
    this.#sweepAtMs = nowMs + BROKER_LIMITS.coldFilesIdleMs;
    this.#entries.closeIdle();
  }
}
