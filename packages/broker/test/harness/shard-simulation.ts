import assert from "node:assert/strict";
import type { JournalOptions, SimulatedStorage, Storage } from "@millrace/journal/internal";
import { MillraceError } from "@millrace/protocol";
import { encodeStateChanges } from "../../src/shard/state-entry.ts";
import { DamagedCopies } from "./damaged-copies.ts";
import type { StopKind } from "./partition-model.ts";
import type { Seeded } from "./seeded.ts";
import { ShardRig } from "./shard-rig.ts";
import { GATEWAYS, ReadRefused, SimulatedWorld } from "./simulated-world.ts";

export interface ShardSimulationOptions {
  /** A machine with data. */
  readonly storage?: SimulatedStorage;
  /** What the shard sees of the storage; for canaries. */
  readonly wrapStorage?: (storage: SimulatedStorage) => Storage;
  readonly check?: NonNullable<JournalOptions["check"]>;
}

/** How a life of the shard ends. */
type Ending = "clean" | "process" | "power" | "at-a-call" | "failed-sync";

const SEVERITY: readonly StopKind[] = ["clean", "synced", "process", "power"];

/**
 * A shard and the world around it on one thread, decided by a seed: it lives, dies in one of many ways, is started again and
 * must still have what it has promised.
 */
export class ShardSimulation {
  readonly rig: ShardRig;
  readonly world: SimulatedWorld;
  readonly #random: Seeded;
  #diskFillsUp = true;
  readonly #dropsOldest: boolean;

  constructor(random: Seeded, options: ShardSimulationOptions = {}) {
    this.#random = random;
    this.rig = new ShardRig({
      ...options,
      shardId: 0,
      shardCount: 1,
      gateways: GATEWAYS,
      seed: random.below(2 ** 31),
      inboundBytes: random.pick([32_768, 65_536]),
      outboundBytes: random.pick([32_768, 65_536]),
      segmentSizeBytes: random.pick([8192, 16_384, 65_536]),
      steppedBackground: random.oneIn(2),
      settling: {
        batchBytes: random.pick([8192, 40_000]),
        afterMs: random.pick([0, 1000]),
        rewriteDeadBytesMin: 256,
      },
      retentionCheckMs: random.pick([100, 2000]),
      reserveBytes: random.pick([0, 4096, 16_384]),
    });
    this.world = new SimulatedWorld(random, this.rig.clock);
    this.#dropsOldest = random.oneIn(4);
    this.rig.storage.shortWriteChance = random.pick([0, 0, 0.3]);
  }

  /** Lives several times and dies as often; or ends early, with a shard that is quarantined for good. @throws AssertionError, or whatever the shard must not throw */
  run(): void {
    let stop: StopKind = "power";
    for (let lives = 2 + this.#random.below(4); lives > 0; lives -= 1) {
      if (!this.#start(stop)) return;
      const ended = this.#live(
        this.#random.pick(["clean", "process", "power", "at-a-call", "at-a-call", "failed-sync"]),
      );
      if (ended === undefined) return;
      stop = ended;
    }
    if (this.#start(stop)) this.settleAll();
  }

  /**
   * One short life that ends at the given call of the storage, and the recovery after it.
   * @returns false when life was shorter
   */
  runUntilCall(call: number, steps: number, kind: "process" | "power"): boolean {
    const { rig, world } = this;
    rig.open();
    world.recover(rig, "power");
    rig.storage.crashAtCall = rig.storage.calls + call;
    try {
      this.#act(steps);
    } catch (error) {
      if (!rig.storage.hasCrashed) throw error;
    }
    const { hasCrashed } = rig.storage;
    this.#die(kind);
    rig.open();
    world.recover(rig, kind);
    this.settleAll();
    return hasCrashed;
  }

  /**
   * Recovers, dying on the way now and then, and compares everything with what the world knows.
   * @returns false when a sync failed and the shard stays quarantined
   */
  #start(stop: StopKind): boolean {
    const { rig, world } = this;
    const { storage } = rig;
    let worst = stop;
    for (let tries = 0; ; tries += 1) {
      if (tries < 3 && this.#random.oneIn(3)) storage.crashAtCall = storage.calls + this.#random.below(80);
      storage.failSyncIn = tries < 3 && this.#random.oneIn(12) ? this.#random.below(8) : -1;
      try {
        rig.open();
        world.recover(rig, worst);
        storage.crashAtCall = Number.POSITIVE_INFINITY;
        storage.failSyncIn = -1;
        if (!storage.hasCrashed) return true;
      } catch (error) {
        if (isQuarantine(error)) return false;
        if (!storage.hasCrashed && !isJournalFailure(error)) throw this.#explained(error);
      }
      const kind = this.#random.pick(["process", "power", "power"] as const);
      this.#die(kind);
      if (SEVERITY.indexOf(kind) > SEVERITY.indexOf(worst)) worst = kind;
    }
  }

  /** A life at whose end everything is synced. @returns copies of the stopped machine, to be damaged */
  stopForDamage(): DamagedCopies {
    const { rig, world } = this;
    this.#diskFillsUp = false;
    rig.open();
    world.recover(rig, "power");
    this.#act(100 + this.#random.below(300));
    this.settleAll();
    rig.clock.advance(2000);
    rig.settle();
    const provenPosition = rig.journal.committedPosition();
    assert.equal(provenPosition, rig.journal.stagedPosition);
    // An entry that was written later says how much was durable before it.
    rig.journal.stageState(encodeStateChanges([]));
    rig.clock.advance(2000);
    rig.settle();
    if (this.#random.oneIn(2)) rig.stopCleanly();
    this.#die("power");
    return new DamagedCopies(rig.storage, world, this.#random, provenPosition);
  }

  /** Everything that was published is answered. */
  settleAll(): void {
    const { rig, world } = this;
    for (let rounds = 0; ; rounds += 1) {
      assert.ok(rounds < 1000, "publishes are not answered");
      const waiting = world.resendAll(rig.gateway);
      rig.settle();
      world.hear(rig.gateway);
      if (!waiting) return;
    }
  }

  /** Lets everybody act for a while. */
  #act(steps: number): void {
    for (let step = 0; step < steps && !this.rig.storage.hasCrashed; step += 1) this.#step();
  }

  /** Lives until `ending`. @returns how it stopped, or undefined when the shard is quarantined for good */
  #live(ending: Ending): StopKind | undefined {
    const { rig } = this;
    const { storage } = rig;
    const random = this.#random;
    if (ending === "at-a-call") storage.crashAtCall = storage.calls + random.below(300);
    if (ending === "failed-sync") storage.failSyncIn = random.below(20);
    try {
      this.#act(20 + random.below(200));
      if (ending === "clean" && !storage.hasCrashed) {
        this.#stopCleanly();
        return "clean";
      }
    } catch (error) {
      if (!storage.hasCrashed) {
        if (!(ending === "failed-sync" && isJournalFailure(error))) throw this.#explained(error);
        this.#expectQuarantine();
        return undefined;
      }
    }
    const kind = ending === "clean" || ending === "failed-sync" || ending === "at-a-call" ? "power" : ending;
    const stop = kind === "power" && random.oneIn(4) ? "process" : kind;
    this.#die(stop);
    return stop;
  }

  #step(): void {
    const { rig, world } = this;
    const { gateway } = rig;
    const choice = this.#random.below(25);
    if (choice < 6) world.publish(gateway);
    else if (choice < 8) world.consume(gateway);
    else if (choice < 14) this.#cycle();
    else if (choice < 18) this.#sync();
    else if (choice < 20) rig.serveColdReads(1 + this.#random.below(4));
    else if (choice === 20) rig.background.step();
    else if (choice === 21) this.rig.clock.advance(this.#random.below(this.#random.oneIn(5) ? 30_000 : 700));
    else if (choice === 22) this.#rarely();
    else if (choice === 23) world.changeTopic(gateway);
    else if (this.#random.oneIn(3)) world.createTopic(gateway);
    world.hear(rig.gateway);
  }

  #rarely(): void {
    const { rig, world } = this;
    const choice = this.#random.below(9);
    if (choice > 6) world.loseGateway(rig.gateway);
    else if (choice === 6) {
      if (this.#dropsOldest) world.dropOldest(rig.gateway);
    } else if (choice === 0) world.deleteTopic(rig.gateway);
    else if (choice < 3) rig.shard.checkpoint(false);
    else if (choice === 3) rig.clock.setWallBack(this.#random.below(5000));
    else if (this.#diskFillsUp) {
      const used = rig.storage.contents().reduce((sum, { size }) => sum + size, 0);
      rig.storage.capacityBytes = this.#random.oneIn(3)
        ? used + this.#random.below(4000)
        : Number.POSITIVE_INFINITY;
      const roomBytes = this.#random.oneIn(5) ? this.#random.below(4000) : Number.POSITIVE_INFINITY;
      rig.shard.setDiskRoom(this.#random.oneIn(4), roomBytes);
    }
  }

  #cycle(): void {
    const failed = this.rig.syncer.failure() !== undefined;
    if (this.#random.oneIn(4)) this.rig.shard.doWork();
    else this.rig.cycle();
    assert.ok(!failed || this.rig.storage.hasCrashed, "a shard goes on after a failed sync");
  }

  #sync(): void {
    const { rig, world } = this;
    rig.sync();
    if (rig.syncer.failure() === undefined) return;
    // What was acked before may still be on its way; from here on there is nothing to ack.
    rig.gateway.hear();
    world.hear(rig.gateway);
    world.acksAreOver = true;
  }

  #stopCleanly(): void {
    const { rig, world } = this;
    rig.storage.capacityBytes = Number.POSITIVE_INFINITY;
    rig.shard.setDiskRoom(false, Number.POSITIVE_INFINITY);
    rig.clock.advance(1000);
    rig.stopCleanly();
    rig.gateway.hear();
    world.hear(rig.gateway);
    // The process ends, and the machine may lose its power right after: nothing may depend on what is not synced.
    this.#die(this.#random.pick(["process", "power"]));
  }

  /** The shard must not serve again, whatever the disk says next time. */
  #expectQuarantine(): void {
    const { rig, world } = this;
    rig.gateway.hear();
    world.hear(rig.gateway);
    this.#die(this.#random.pick(["process", "power"]));
    assert.throws(() => rig.open(), { code: "JOURNAL_QUARANTINED" });
  }

  /** A refused read with what the reader thread has logged of it. */
  #explained(error: unknown): unknown {
    if (!(error instanceof ReadRefused)) return error;
    return new ReadRefused(`${error.message}: ${this.rig.readFailures.at(-1)}`, { cause: error });
  }

  #die(kind: "process" | "power"): void {
    this.rig.crash(kind);
    this.rig.storage.capacityBytes = Number.POSITIVE_INFINITY;
    this.world.onShardRestart();
  }
}

function isJournalFailure(error: unknown): boolean {
  return error instanceof MillraceError && error.code === "JOURNAL_FAILED";
}

function isQuarantine(error: unknown): boolean {
  return error instanceof MillraceError && error.code === "JOURNAL_QUARANTINED";
}
