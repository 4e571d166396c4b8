import type { MessagePort } from "node:worker_threads";
import { type Agent, AgentRunner, Doorbell, DoorbellIdleStrategy, OneToOneRingBuffer } from "@millrace/core";
import { RealStorage } from "@millrace/journal";
import { DiskReserve, isDiskFull } from "@millrace/journal/internal";
import { MillraceError } from "@millrace/protocol";
import { BROKER_LIMITS } from "../limits.ts";
import { FetchAnswers } from "../reader/fetch-answers.ts";
import { LiveWrites } from "../reader/live-writes.ts";
import { type ColdReadRings, RingColdReads } from "../reader/ring-cold-reads.ts";
import { Shard } from "../shard/shard.ts";
import { SYSTEM_CLOCK } from "../system-clock.ts";
import { type OpenedJournal, openJournal } from "./open-journal.ts";
import { PortBackground } from "./port-background.ts";
import { ThreadControl } from "./thread-control.ts";
import type {
  FromShardThread,
  RecoveredShard,
  ShardError,
  ShardPlace,
  ShardThreadData,
  ToShardThread,
} from "./thread-messages.ts";

/** A shard that this thread serves. */
interface HostedShard {
  readonly shard: Shard;
  phase: "serving" | "finishing" | "checkpointing";
  repeated: boolean;
  /** When it is let go of although it has not finished. */
  giveUpAtMs: number;
}

/** Time for threads of journals that were closed to end, until this one looks after them. */
const REAP_AFTER_MS = 200;

/**
 * The agent of a shard thread: gives each of its shards a duty cycle in turn, and opens and closes single ones between.
 * A shard whose journal fails, or that throws, is taken out and reported, and the others go on; an error of anything else
 * is a defect of the thread and ends it, and the node starts it again.
 */
export class ShardThreadAgent implements Agent {
  readonly name = "shard-thread";
  readonly #data: ShardThreadData;
  readonly #port: MessagePort;
  readonly #control: ThreadControl<ToShardThread>;
  readonly #background: PortBackground;
  readonly #doorbell: Doorbell;
  readonly #readerDoorbell: Doorbell;
  readonly #coldReadRings: ColdReadRings;
  readonly #fetchAnswers: FetchAnswers;
  readonly #liveWrites: LiveWrites;
  readonly #hosted: HostedShard[] = [];
  /** To be opened, one a cycle. */
  readonly #places: ShardPlace[] = [];
  /** Fetches begun for shards that were closed: what is still answered must not pass for an answer to later ones. */
  readonly #fetches: Map<number, number> = new Map();
  #disk: Extract<ToShardThread, { kind: "disk" }> | undefined;
  /** Of all journals together, when it was looked at last. */
  #writtenPositions = 0;
  #runner: AgentRunner | undefined;
  #draining = false;
  #ended = false;
  /** The event loop has a turn, and nothing ends. */
  #resting = false;
  #reapAtMs = Number.POSITIVE_INFINITY;

  private constructor(data: ShardThreadData, port: MessagePort) {
    this.#data = data;
    this.#port = port;
    this.#control = new ThreadControl(port, data.control);
    this.#doorbell = Doorbell.attach(data.doorbell);
    this.#readerDoorbell = Doorbell.attach(data.readerDoorbell);
    this.#coldReadRings = {
      reads: OneToOneRingBuffer.attach(data.readerLink.reads),
      fetches: OneToOneRingBuffer.attach(data.readerLink.fetches),
    };
    this.#fetchAnswers = new FetchAnswers(data.readerLink, this.#readerDoorbell);
    this.#liveWrites = new LiveWrites(data.liveWrites, SYSTEM_CLOCK);
    this.#background = new PortBackground((jobId, job, transfer) =>
      port.postMessage({ kind: "job", jobId, job } satisfies FromShardThread, transfer),
    );
  }

  /** Runs until the node drains or terminates the thread. */
  static start(data: ShardThreadData, port: MessagePort): void {
    new ShardThreadAgent(data, port).#run();
  }

  doWork(): number {
    let work = this.#control.poll((message) => this.#onControl(message));
    work += this.#fetchAnswers.poll();
    work += this.#openNext();
    let written = 0;
    for (let i = 0; i < this.#hosted.length; i += 1) {
      const hosted = this.#hosted[i] as HostedShard;
      try {
        work += hosted.shard.doWork();
        written += hosted.shard.journal.writtenPosition;
        if (hosted.phase === "serving" || !this.#closeStep(hosted)) continue;
      } catch (error) {
        this.#report(hosted.shard.shardId, error);
      }
      this.#letGo(hosted.shard);
      this.#hosted.splice(i, 1);
      i -= 1;
      work += 1;
    }
    if (written !== this.#writtenPositions) {
      this.#writtenPositions = written;
      this.#liveWrites.note();
    }
    if (this.#draining && this.#hosted.length === 0) this.#end();
    else if (SYSTEM_CLOCK.monotonicMs() >= this.#reapAtMs) this.#rest();
    return work;
  }

  nextTimerMs(): number {
    if (this.#places.length > 0) return 0;
    // Idle shards look at their fences, too: those who wait for their records would wait for ever.
    let next: number = this.#hosted.length > 0 ? BROKER_LIMITS.fenceIdleLookMs : Number.POSITIVE_INFINITY;
    let atMs = this.#reapAtMs;
    for (const { shard, giveUpAtMs } of this.#hosted) {
      next = Math.min(next, shard.nextTimerMs());
      atMs = Math.min(atMs, giveUpAtMs);
    }
    return Math.min(next, Math.max(1, atMs - SYSTEM_CLOCK.monotonicMs()));
  }

  onClose(): void {
    if (this.#resting) return;
    for (const { shard } of this.#hosted) shard.journal.close();
  }

  #run(): void {
    let failure: { readonly error: unknown } | undefined;
    const runner = new AgentRunner(this, new DoorbellIdleStrategy(this.#doorbell), (error) => {
      failure = { error };
      runner.close();
    });
    this.#runner = runner;
    runner.run();
    if (failure !== undefined) throw failure.error;
    if (this.#ended) {
      this.#port.close();
      return;
    }
    this.#resting = false;
    setTimeout(() => this.#run(), 0);
  }

  /** Sync threads that have ended are joined by the event loop alone, which has no turn otherwise. */
  #rest(): void {
    this.#reapAtMs = Number.POSITIVE_INFINITY;
    this.#resting = true;
    this.#runner?.close();
  }

  #onControl(message: ToShardThread): void {
    switch (message.kind) {
      case "job-done":
        this.#background.onDone(message.jobId, message.outcome);
        return;
      case "disk":
        this.#disk = message;
        for (const { shard } of this.#hosted) shard.setDiskRoom(message.low, message.roomBytes);
        return;
      case "open-shard":
        this.#places.push(message.place);
        return;
      case "close-shard":
        this.#close(message.shardId);
        return;
      case "drain":
        this.#draining = true;
        this.#places.length = 0;
        for (const hosted of this.#hosted) this.#finish(hosted);
    }
  }

  // Opening.

  #openNext(): number {
    const place = this.#places.shift();
    if (place === undefined) return 0;
    try {
      const recovered = this.#open(place);
      this.#say({ kind: "shard-opened", recovered });
    } catch (error) {
      this.#say({ kind: "shard-open-failed", ...shardError(place.shardId, error) });
    }
    return 1;
  }

  #open(place: ShardPlace): RecoveredShard {
    const { shardId, directory } = place;
    const startedMs = SYSTEM_CLOCK.monotonicMs();
    const opened = openJournal({
      shardId,
      shardCount: this.#data.shardCount,
      directory,
      segmentBytes: this.#data.storage.segmentBytes,
      background: this.#background,
      doorbell: this.#data.doorbell,
    });
    const { journal, recovery } = opened;
    try {
      const shard = this.#shardOf(place, opened);
      if (this.#disk !== undefined) shard.setDiskRoom(this.#disk.low, this.#disk.roomBytes);
      this.#hosted.push({ shard, phase: "serving", repeated: false, giveUpAtMs: Number.POSITIVE_INFINITY });
      this.#fetchAnswers.register(shardId, shard.entries.listener);
    } catch (error) {
      journal.close();
      throw error;
    }
    return {
      shardId,
      epoch: journal.epoch,
      cleanShutdown: journal.cleanShutdown,
      entries: recovery.entries,
      recoveryMs: Math.round(SYSTEM_CLOCK.monotonicMs() - startedMs),
    };
  }

  #shardOf({ shardId, directory, link }: ShardPlace, { state, journal }: OpenedJournal): Shard {
    const { shardCount, storage } = this.#data;
    const { segmentBytes, reserveBytes } = storage;
    const { epoch } = journal;
    return new Shard({
      shardId,
      shardCount,
      state,
      journal,
      link,
      gatewayDoorbell: Doorbell.attach(this.#data.gatewayDoorbell, () => this.#port.postMessage(null)),
      coldReads: new RingColdReads(shardId, journal, this.#coldReadRings, this.#readerDoorbell),
      firstFetch: this.#fetches.get(shardId),
      clock: SYSTEM_CLOCK,
      segmentBytes,
      reserve: new DiskReserve({
        storage: new RealStorage(),
        directory,
        background: this.#background,
        epoch,
        sizeBytes: reserveBytes,
      }),
      log: (level, event, fields) => this.#say({ kind: "log", level, event, fields }),
    });
  }

  // Closing.

  #close(shardId: number): void {
    const hosted = this.#hosted.find(({ shard }) => shard.shardId === shardId);
    if (hosted !== undefined) this.#finish(hosted);
    // It has failed just now, and that was said.
  }

  #finish(hosted: HostedShard): void {
    if (hosted.phase !== "serving") return;
    hosted.phase = "finishing";
    hosted.giveUpAtMs = SYSTEM_CLOCK.monotonicMs() + BROKER_LIMITS.shardFinishMsMax;
  }

  /** One step of a shard's end: everything committed and answered, then a clean checkpoint. @returns true when it is over */
  #closeStep(hosted: HostedShard): boolean {
    const { shard } = hosted;
    const { shardId, journal } = shard;
    const nowMs = SYSTEM_CLOCK.monotonicMs();
    if (hosted.phase === "finishing" && shard.finish()) {
      shard.checkpoint(true);
      hosted.phase = "checkpointing";
      hosted.giveUpAtMs = nowMs + BROKER_LIMITS.shardCheckpointMsMax;
    }
    if (hosted.phase === "checkpointing" && !journal.checkpointPending) {
      const failure = journal.checkpointFailure;
      if (isDiskFull(failure) && !hosted.repeated) {
        // There may be room that was held for it.
        hosted.repeated = true;
        shard.checkpoint(true);
        return false;
      }
      this.#say({ kind: "shard-closed", shardId, clean: failure === undefined });
      return true;
    }
    if (nowMs < hosted.giveUpAtMs) return false;
    this.#say({ kind: "shard-closed", shardId, clean: false });
    return true;
  }

  #report(shardId: number, error: unknown): void {
    if (error instanceof MillraceError && error.code === "JOURNAL_FAILED") {
      this.#say({ kind: "shard-failed", ...shardError(shardId, error) });
    } else {
      const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#say({ kind: "shard-crashed", shardId, message });
    }
  }

  #letGo({ shardId, journal, entries }: Shard): void {
    this.#fetches.set(shardId, entries.nextFetch);
    this.#fetchAnswers.unregister(shardId);
    try {
      journal.close();
    } catch (error) {
      // Its descriptors may be lost; the shard itself is given up in any case.
      const fields = { shardId, error: error instanceof Error ? error.message : String(error) };
      this.#say({ kind: "log", level: "error", event: "journal-close-failed", fields });
    }
    this.#reapAtMs = SYSTEM_CLOCK.monotonicMs() + REAP_AFTER_MS;
  }

  #end(): void {
    this.#ended = true;
    this.#say({ kind: "drained" });
    this.#runner?.close();
  }

  #say(message: FromShardThread): void {
    this.#port.postMessage(message);
  }
}

/** What another thread may know of it. The cause of a journal's failure says what it was. */
function shardError(shardId: number, error: unknown): ShardError {
  if (!(error instanceof MillraceError)) {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { shardId, code: "INTERNAL", message, details: { shardId } };
  }
  const cause = error.cause instanceof MillraceError ? error.cause.details : {};
  return { shardId, code: error.code, message: error.message, details: { ...cause, ...error.details } };
}
