import assert from "node:assert/strict";
import type { JournalOptions, SimulatedStorage, Storage } from "@millrace/journal/internal";
import { MillraceError } from "@millrace/protocol";
import type { StopKind } from "./partition-model.ts";
import type { Seeded } from "./seeded.ts";
import { ShardRig } from "./shard-rig.ts";
import { ReadRefused, SimulatedWorld } from "./simulated-world.ts";

export interface ShardSimulationOptions {
  /** What the shard sees of the storage; for canaries. */
  readonly wrapStorage?: (storage: SimulatedStorage) => Storage;
  readonly check?: NonNullable<JournalOptions["check"]>;
}

/** How a life of the shard ends. */
type Ending = StopKind | "at-a-call" | "failed-sync";

const SEVERITY: readonly StopKind[] = ["clean", "process", "power"];

/**
 * A shard and the world around it on one thread, decided by a seed: it lives, dies in one of many ways, is started again and
 * must still have what it has promised.
 */
export class ShardSimulation {
  readonly rig: ShardRig;
  readonly world: SimulatedWorld;
  readonly #random: Seeded;
  #diskFillsUp = true;

  constructor(random: Seeded, options: ShardSimulationOptions = {}) {
    this.#random = random;
    this.rig = new ShardRig({
      ...options,
      shardId: 0,
      shardCount: 1,
      seed: random.below(2 ** 31),
      inboundBytes: random.pick([32_768, 65_536]),
      outboundBytes: random.pick([32_768, 65_536]),
      segmentSizeBytes: random.pick([8192, 16_384, 65_536]),
      steppedBackground: random.oneIn(2),
    });
    this.world = new SimulatedWorld(random);
    this.rig.storage.shortWriteChance = random.pick([0, 0, 0.3]);
  }

  /** Lives several times and dies as often. @throws AssertionError, or whatever the shard must not throw */
  run(): void {
    let stop: StopKind = "power";
    for (let lives = 2 + this.#random.below(4); lives > 0; lives -= 1) {
      this.start(stop);
      const ended = this.#live(
        this.#random.pick(["clean", "process", "power", "at-a-call", "at-a-call", "failed-sync"]),
      );
      if (ended === undefined) return;
      stop = ended;
    }
    this.start(stop);
    this.#settleAll();
  }

  /** Recovers, dying on the way now and then, and compares everything with what the world knows. */
  start(stop: StopKind): void {
    const { rig, world } = this;
    const { storage } = rig;
    let worst = stop;
    for (let tries = 0; ; tries += 1) {
      storage.capacityBytes = Number.POSITIVE_INFINITY;
      if (tries < 3 && this.#random.oneIn(3)) storage.crashAtCall = storage.calls + this.#random.below(80);
      try {
        rig.open();
        world.recover(rig, worst);
        storage.crashAtCall = Number.POSITIVE_INFINITY;
        if (!storage.hasCrashed) return;
      } catch (error) {
        if (!storage.hasCrashed) throw this.#explained(error);
      }
      const kind = this.#random.pick(["process", "power", "power"] as const);
      this.#die(kind);
      if (SEVERITY.indexOf(kind) > SEVERITY.indexOf(worst)) worst = kind;
    }
  }

  /** Lets everybody act for a while. */
  act(steps: number): void {
    for (let step = 0; step < steps && !this.rig.storage.hasCrashed; step += 1) this.#step();
  }

  /** Everything that was published is answered. */
  settleAll(): void {
    this.#settleAll();
  }

  /** Lives until `ending`. @returns how it stopped, or undefined when the shard is quarantined for good */
  #live(ending: Ending): StopKind | undefined {
    const { rig } = this;
    const { storage } = rig;
    const random = this.#random;
    // A mark that the journal has failed needs a little room on the disk.
    this.#diskFillsUp = ending !== "failed-sync";
    storage.capacityBytes = Number.POSITIVE_INFINITY;
    if (ending === "at-a-call") storage.crashAtCall = storage.calls + random.below(300);
    if (ending === "failed-sync") storage.failSyncIn = random.below(20);
    try {
      this.act(20 + random.below(200));
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
    const choice = this.#random.below(24);
    if (choice < 6) world.publish(gateway);
    else if (choice < 8) world.consume(gateway);
    else if (choice < 14) this.#cycle();
    else if (choice < 18) this.#sync();
    else if (choice < 20) rig.serveColdReads(1 + this.#random.below(4));
    else if (choice === 20) rig.background.step();
    else if (choice === 21) this.rig.clock.advance(this.#random.below(700));
    else if (choice === 22) this.#rarely();
    else if (this.#random.oneIn(3)) world.createTopic(gateway);
    world.hear(rig.gateway);
  }

  #rarely(): void {
    const { rig, world } = this;
    const choice = this.#random.below(6);
    if (choice === 0) world.deleteTopic(rig.gateway);
    else if (choice < 3) rig.shard.checkpoint(false);
    else if (choice === 3) rig.clock.setWallBack(this.#random.below(5000));
    else if (this.#diskFillsUp) {
      const used = rig.storage.contents().reduce((sum, { size }) => sum + size, 0);
      rig.storage.capacityBytes = this.#random.oneIn(3)
        ? used + this.#random.below(4000)
        : Number.POSITIVE_INFINITY;
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
    this.world.onShardRestart();
  }

  #settleAll(): void {
    const { rig, world } = this;
    for (let rounds = 0; ; rounds += 1) {
      assert.ok(rounds < 1000, "publishes are not answered");
      const waiting = world.resendAll(rig.gateway);
      rig.settle();
      world.hear(rig.gateway);
      if (!waiting) return;
    }
  }
}

function isJournalFailure(error: unknown): boolean {
  return error instanceof MillraceError && error.code === "JOURNAL_FAILED";
}
