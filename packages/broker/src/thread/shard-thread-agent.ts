import type { MessagePort } from "node:worker_threads";
import { type Agent, AgentRunner, Doorbell, DoorbellIdleStrategy, OneToOneRingBuffer } from "@millrace/core";
import { Journal, RealStorage, SyncThread } from "@millrace/journal";
import { DiskReserve, releaseReserve } from "@millrace/journal/internal";
import { MillraceError } from "@millrace/protocol";
import { FetchAnswers } from "../reader/fetch-answers.ts";
import { LiveWrites } from "../reader/live-writes.ts";
import { type ColdReadRings, RingColdReads } from "../reader/ring-cold-reads.ts";
import { Shard } from "../shard/shard.ts";
import { ShardRecovery } from "../shard/shard-recovery.ts";
import { ShardState } from "../shard/shard-state.ts";
import { SYSTEM_CLOCK, SYSTEM_ENTROPY } from "../system-clock.ts";
import { PortBackground } from "./port-background.ts";
import { ThreadControl } from "./thread-control.ts";
import type {
  FromShardThread,
  RecoveredShard,
  RefusedShard,
  ShardThreadData,
  StartedShards,
  ToShardThread,
} from "./thread-messages.ts";

type ShardPlace = ShardThreadData["shards"][number];

interface OpenedJournal {
  readonly state: ShardState;
  readonly recovery: ShardRecovery;
  readonly journal: Journal;
}

type DrainPhase = "serving" | "draining" | "checkpointing";

/**
 * The agent of a shard thread: gives each of its shards a duty cycle in turn. A shard whose journal fails is
 * taken out and reported, the others go on; any other error is a defect and ends the thread, which the node
 * starts again.
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
  readonly #shards: Shard[] = [];
  /** Of all journals together, when it was looked at last. */
  #writtenPositions = 0;
  #runner: AgentRunner | undefined;
  #phase: DrainPhase = "serving";

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

  /** Recovers the thread's shards and runs them until the node drains or terminates the thread. */
  static start(data: ShardThreadData, port: MessagePort): void {
    const agent = new ShardThreadAgent(data, port);
    let started: StartedShards;
    try {
      started = agent.#recover();
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      agent.#say({
        kind: "start-failed",
        code: error.code,
        message: error.message,
        details: { ...error.details },
      });
      port.close();
      return;
    }
    agent.#say({ kind: "ready", ...started });
    let failure: unknown;
    const runner = new AgentRunner(agent, new DoorbellIdleStrategy(agent.#doorbell), (error) => {
      failure = error;
      runner.close();
    });
    agent.#runner = runner;
    runner.run();
    if (failure !== undefined) throw failure;
    port.close();
  }

  doWork(): number {
    let work = this.#control.poll((message) => this.#onControl(message));
    work += this.#fetchAnswers.poll();
    let written = 0;
    for (let i = 0; i < this.#shards.length; i += 1) {
      const shard = this.#shards[i] as Shard;
      try {
        work += shard.doWork();
        written += shard.journal.writtenPosition;
      } catch (error) {
        if (!(error instanceof MillraceError && error.code === "JOURNAL_FAILED")) throw error;
        this.#shards.splice(i, 1);
        i -= 1;
        shard.journal.close();
        this.#say({
          kind: "shard-failed",
          shardId: shard.shardId,
          code: error.code,
          message: error.message,
        });
      }
    }
    if (written !== this.#writtenPositions) {
      this.#writtenPositions = written;
      this.#liveWrites.note();
    }
    if (this.#phase !== "serving") work += this.#drain();
    return work;
  }

  nextTimerMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const shard of this.#shards) next = Math.min(next, shard.nextTimerMs());
    return next;
  }

  onClose(): void {
    for (const shard of this.#shards) shard.journal.close();
  }

  #recover(): StartedShards {
    const recovered: RecoveredShard[] = [];
    const refused: RefusedShard[] = [];
    for (const place of this.#data.shards) {
      try {
        recovered.push(this.#open(place));
      } catch (error) {
        if (!(error instanceof MillraceError && error.code === "JOURNAL_QUARANTINED")) throw error;
        const { code, message, details } = error;
        refused.push({ shardId: place.shardId, code, message, details: { ...details } });
      }
    }
    return { recovered, refused };
  }

  #open(place: ShardPlace): RecoveredShard {
    const { shardId, directory, link } = place;
    const startedMs = SYSTEM_CLOCK.monotonicMs();
    const { state, recovery, journal } = this.#openJournal(place);
    const { segmentBytes, reserveBytes } = this.#data.storage;
    const storage = new RealStorage();
    const { epoch } = journal;
    const shard = new Shard({
      shardId,
      shardCount: this.#data.shardCount,
      state,
      journal,
      link,
      gatewayDoorbell: Doorbell.attach(this.#data.gatewayDoorbell, () => this.#port.postMessage(null)),
      coldReads: new RingColdReads(shardId, journal, this.#coldReadRings, this.#readerDoorbell),
      clock: SYSTEM_CLOCK,
      segmentBytes,
      reserve: new DiskReserve({
        storage,
        directory,
        background: this.#background,
        epoch,
        sizeBytes: reserveBytes,
      }),
      log: (level, event, fields) => this.#say({ kind: "log", level, event, fields }),
    });
    this.#shards.push(shard);
    this.#fetchAnswers.register(shardId, shard.entries.listener);
    return {
      shardId,
      epoch,
      cleanShutdown: journal.cleanShutdown,
      entries: recovery.entries,
      recoveryMs: Math.round(SYSTEM_CLOCK.monotonicMs() - startedMs),
    };
  }

  /** A start on a full disk takes the reserve's room, so that deletions and retention can free some. */
  #openJournal(place: ShardPlace): OpenedJournal {
    try {
      return this.#tryOpenJournal(place);
    } catch (error) {
      if (!(error instanceof MillraceError && error.code === "DISK_FULL")) throw error;
      if (!releaseReserve(new RealStorage(), place.directory)) throw error;
      return this.#tryOpenJournal(place);
    }
  }

  #tryOpenJournal({ shardId, directory }: ShardPlace): OpenedJournal {
    const state = new ShardState(shardId, this.#data.shardCount, SYSTEM_CLOCK);
    const recovery = new ShardRecovery(state);
    const journal = Journal.open({
      storage: new RealStorage(),
      directory,
      shardId,
      syncer: (context) => new SyncThread(context, this.#data.doorbell),
      background: this.#background,
      clock: SYSTEM_CLOCK,
      entropy: SYSTEM_ENTROPY,
      segmentSizeBytes: this.#data.storage.segmentBytes,
      replay: recovery,
    });
    return { state, recovery, journal };
  }

  #onControl(message: ToShardThread): void {
    if (message.kind === "job-done") this.#background.onDone(message.jobId, message.outcome);
    else if (message.kind === "disk") {
      for (const shard of this.#shards) shard.setDiskRoom(message.low, message.roomBytes);
    } else this.#phase = "draining";
  }

  /** One step of the end: everything committed and answered, then clean checkpoints, then the thread stops. */
  #drain(): number {
    if (this.#phase === "draining") {
      if (!this.#shards.every((shard) => shard.finish())) return 0;
      for (const shard of this.#shards) shard.checkpoint(true);
      this.#phase = "checkpointing";
    }
    if (this.#shards.some((shard) => shard.journal.checkpointPending)) return 0;
    this.#say({ kind: "drained" });
    this.#runner?.close();
    return 1;
  }

  #say(message: FromShardThread): void {
    this.#port.postMessage(message);
  }
}
