import { Doorbell, OneToOneRingBuffer } from "@millrace/core";
import {
  DiskReserve,
  InlineSyncer,
  Journal,
  type JournalOptions,
  SeededRandom,
  SimulatedStorage,
  type Storage,
  shardDirectoryName,
} from "@millrace/journal/internal";
import { LINK_STATE, type LinkBuffers } from "../../src/link/link-buffers.ts";
import { RingColdReads } from "../../src/reader/ring-cold-reads.ts";
import { Shard } from "../../src/shard/shard.ts";
import { ShardRecovery } from "../../src/shard/shard-recovery.ts";
import type { ShardRequestMap } from "../../src/shard/shard-requests.ts";
import { ShardState } from "../../src/shard/shard-state.ts";
import type { PartitionOpening } from "../../src/shard/topic-requests.ts";
import { ManualClock } from "./manual-clock.ts";
import { RecordingGateway } from "./recording-gateway.ts";
import { SimulatedReader } from "./simulated-reader.ts";
import { SteppedBackground } from "./stepped-background.ts";

export interface ShardRigOptions {
  readonly shardId?: number;
  readonly shardCount?: number;
  /** Small rings, so that tests fill them; a message is at most an eighth. */
  readonly inboundBytes?: number;
  readonly outboundBytes?: number;
  readonly readerRingBytes?: number;
  readonly segmentSizeBytes?: number;
  readonly seed?: number;
  /** Background jobs wait for `background.step()`; by default each runs at once. */
  readonly steppedBackground?: boolean;
  /** A machine that exists already. */
  readonly storage?: SimulatedStorage;
  /** What the shard sees of the storage, for canaries. */
  readonly wrapStorage?: (storage: SimulatedStorage) => Storage;
  readonly check?: NonNullable<JournalOptions["check"]>;
  readonly settling?: NonNullable<JournalOptions["settling"]>;
  readonly retentionCheckMs?: number;
  /** Default: no reserve. */
  readonly reserveBytes?: number;
  /** Processes that use the shard; default 1. */
  readonly gateways?: number;
}

/** A PartitionOpening; without bounds of retention by default. */
export type RigPartition = readonly [
  topicId: number,
  partition: number,
  durability: number,
  retentionMs?: number,
  retentionShareBytes?: number,
];

const SHARDS_DIRECTORY = "/data/shards";
/** Of rings that served other links before, and soon pass 2^32. */
const USED_POSITION = 2 ** 32 - 65_536;
const READS_RING_BYTES = 4096;
const CONSUMERS_RING_BYTES = 16_384;

/**
 * One shard with its journal, a gateway and the reader thread's work, all on this thread: nothing happens unless the
 * test says so. Syncs wait for `sync()`.
 */
export class ShardRig {
  readonly storage: SimulatedStorage;
  readonly clock: ManualClock = new ManualClock();
  readonly shardId: number;
  readonly shardCount: number;
  /** Of the present life; `restart` replaces them. */
  gateway!: RecordingGateway;
  /** All that use the shard, by number; the first is the one above. */
  gateways!: readonly RecordingGateway[];
  shard!: Shard;
  journal!: Journal;
  recovery!: ShardRecovery;
  syncer!: InlineSyncer;
  background!: SteppedBackground;
  reader!: SimulatedReader;
  /** What the reader said of reads that failed. */
  readonly readFailures: string[] = [];
  /** What the shard has logged, in all its lives. */
  readonly logged: { readonly event: string; readonly fields: Record<string, unknown> }[] = [];
  readonly #options: ShardRigOptions;
  readonly #visible: Storage;
  readonly #entropy: SeededRandom;

  constructor(options: ShardRigOptions = {}) {
    this.#options = options;
    this.shardId = options.shardId ?? 1;
    this.shardCount = options.shardCount ?? 2;
    this.#entropy = new SeededRandom(options.seed ?? 1);
    this.storage = options.storage ?? new SimulatedStorage(this.#entropy);
    this.#visible = options.wrapStorage?.(this.storage) ?? this.storage;
  }

  /** A shard that has recovered and opened these partitions, as a node does at its start. */
  static started(partitions: readonly RigPartition[], options: ShardRigOptions = {}): ShardRig {
    const rig = new ShardRig(options);
    rig.open();
    rig.reconcile(partitions);
    return rig;
  }

  get directory(): string {
    return `${SHARDS_DIRECTORY}/${shardDirectoryName(this.shardId)}`;
  }

  /** Recovers the shard from what the storage has, with fresh rings. */
  open(): void {
    const { clock } = this;
    const storage = this.#visible;
    const state = new ShardState(this.shardId, this.shardCount, clock);
    this.recovery = new ShardRecovery(state);
    this.background = new SteppedBackground(storage, this.#options.steppedBackground ?? false);
    this.journal = Journal.open({
      storage,
      directory: this.directory,
      shardId: this.shardId,
      syncer: (context) => {
        this.syncer = new InlineSyncer(storage, context, { stepped: true });
        return this.syncer;
      },
      background: this.background,
      clock,
      entropy: this.#entropy,
      segmentSizeBytes: this.#options.segmentSizeBytes ?? 1024 * 1024,
      replay: this.recovery,
      ...(this.#options.check === undefined ? {} : { check: this.#options.check }),
      ...(this.#options.settling === undefined ? {} : { settling: this.#options.settling }),
    });
    const { segmentSizeBytes: segmentBytes, retentionCheckMs, reserveBytes = 0 } = this.#options;
    const reserve = new DiskReserve({
      storage,
      directory: this.directory,
      background: this.background,
      epoch: this.journal.epoch,
      sizeBytes: reserveBytes,
    });
    const link: LinkBuffers = {
      inbound: OneToOneRingBuffer.allocate(this.#options.inboundBytes ?? 65_536, USED_POSITION),
      reads: OneToOneRingBuffer.allocate(READS_RING_BYTES, USED_POSITION),
      consumers: OneToOneRingBuffer.allocate(CONSUMERS_RING_BYTES, USED_POSITION),
      outbound: OneToOneRingBuffer.allocate(this.#options.outboundBytes ?? 65_536, USED_POSITION),
      state: new SharedArrayBuffer(LINK_STATE.WORDS * 4),
    };
    this.gateway = new RecordingGateway(link);
    const guests = Array.from({ length: (this.#options.gateways ?? 1) - 1 }, (_, i) =>
      this.gateway.guest(i + 1),
    );
    this.gateways = [this.gateway, ...guests];
    this.reader = new SimulatedReader(storage, SHARDS_DIRECTORY, this.gateway, {
      requestsBytes: this.#options.readerRingBytes ?? 65_536,
      answersBytes: this.#options.outboundBytes ?? 65_536,
      onFailure: (fields) => this.readFailures.push(`${fields.code}: ${fields.error}`),
    });
    this.shard = new Shard({
      shardId: this.shardId,
      shardCount: this.shardCount,
      state,
      journal: this.journal,
      link,
      gatewayDoorbell: Doorbell.attach(Doorbell.allocate()),
      coldReads: new RingColdReads(
        this.shardId,
        this.journal,
        this.reader.rings,
        Doorbell.attach(Doorbell.allocate()),
      ),
      clock,
      reserve,
      log: (_level, event, fields) => this.logged.push({ event, fields }),
      ...(segmentBytes === undefined ? {} : { segmentBytes }),
      ...(retentionCheckMs === undefined ? {} : { retentionCheckMs }),
    });
    this.reader.fetchAnswers.register(this.shardId, this.shard.entries.listener);
  }

  /** What the node asks of every shard when it starts. */
  reconcile(partitions: readonly RigPartition[]): void {
    this.answer("reconcile", [partitions.map(openingOf), this.journal.cleanShutdown]);
  }

  /** Asks, and runs everything until the shard has answered. @throws Error with the name of a refusal */
  answer<K extends keyof ShardRequestMap>(
    kind: K,
    args: ShardRequestMap[K]["args"],
  ): ShardRequestMap[K]["reply"] {
    const requestId = this.gateway.ask(kind, args);
    this.settle();
    const at = this.gateway.events.findIndex(
      (event) => event.kind === "reply" && event.requestId === requestId,
    );
    const [reply] = at < 0 ? [] : this.gateway.events.splice(at, 1);
    if (reply?.kind !== "reply") throw new Error(`no answer to ${kind}`);
    if (reply.error !== undefined) throw new Error(reply.error);
    return reply.value as ShardRequestMap[K]["reply"];
  }

  /** One duty cycle, and the gateway hears what came of it. @returns an amount of work; 0 = both may sleep */
  cycle(): number {
    const work = this.shard.doWork();
    return work + this.gateway.hear();
  }

  /** Serves what was handed to the sync thread. */
  sync(): boolean {
    return this.syncer.step();
  }

  /** Serves up to `limit` of the cold reads that the shard has handed over. @returns how many */
  serveColdReads(limit: number = Number.MAX_SAFE_INTEGER): number {
    return this.reader.serveReads(limit);
  }

  /** The same for fetches, and the shard hears of what came of them and of those before. @returns an amount of work */
  serveFetches(limit: number = Number.MAX_SAFE_INTEGER): number {
    const served = this.reader.serveFetches(limit);
    return served + this.reader.fetchAnswers.poll();
  }

  /** Cycles, syncs and cold reads until nothing is left to do. */
  settle(): void {
    for (let rounds = 0; rounds < 10_000; rounds += 1) {
      const worked = this.cycle() > 0;
      const synced = this.sync();
      const served = this.serveColdReads() + this.serveFetches() > 0;
      const ran = this.background.step();
      if (!worked && !synced && !served && !ran) return;
    }
    throw new Error("the shard does not come to rest");
  }

  /** Drains, takes a clean checkpoint and closes, as at SIGTERM. */
  stopCleanly(): void {
    for (let rounds = 0; !this.shard.finish(); rounds += 1) {
      if (rounds > 1000) throw new Error("the shard does not finish");
      this.cycle();
      this.sync();
      this.serveColdReads();
      this.serveFetches();
      this.background.step();
    }
    this.shard.checkpoint(true);
    for (let rounds = 0; this.journal.checkpointPending; rounds += 1) {
      if (rounds > 100) throw new Error("the clean checkpoint was not taken");
      this.settle();
      this.clock.advance(Math.min(this.shard.nextTimerMs(), 1000));
    }
    this.journal.close();
  }

  /** The machine stops where it stands; `open` starts it again. */
  crash(kind: "power" | "process"): void {
    this.storage.restart(kind);
  }
}

/** What a node would ask to be opened. */
export function openingOf(partition: RigPartition): PartitionOpening {
  const [topicId, number, durability, retentionMs = 0, retentionShareBytes = 0] = partition;
  return [topicId, number, durability, retentionMs, retentionShareBytes];
}
