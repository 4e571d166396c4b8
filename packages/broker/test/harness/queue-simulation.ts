import type { SimulatedStorage, Storage } from "@millrace/journal/internal";
import { GATEWAYS, LEASE_MS, QueueWorld } from "./queue-world.ts";
import type { Seeded } from "./seeded.ts";
import { ShardRig } from "./shard-rig.ts";

export interface QueueSimulationOptions {
  readonly wrapStorage?: (storage: SimulatedStorage) => Storage;
}

/**
 * A shard with a queue and a keyed subscription, their producers and consumers on one thread, decided by a seed: it lives,
 * dies in one of many ways, is started again, and must have kept what QueueModel says.
 */
export class QueueSimulation {
  readonly rig: ShardRig;
  readonly #random: Seeded;
  readonly world: QueueWorld;
  restarts = 0;
  /** Subscriptions are moved now and then: less can be told of their dead letters then. */
  readonly #moves: boolean;

  constructor(random: Seeded, options: QueueSimulationOptions = {}) {
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
    });
    this.#moves = random.oneIn(3);
    this.world = new QueueWorld(random, this.rig);
  }

  /** Lives several times and dies as often. @throws AssertionError, or whatever the shard must not throw */
  run(): void {
    for (let lives = 2 + this.#random.below(3); lives > 0; lives -= 1) {
      this.#start();
      this.#live();
    }
    this.#start();
    this.world.finish();
  }

  /** One life that ends at the given call of the storage, and what follows. @returns false when life was shorter */
  runUntilCall(call: number, steps: number, kind: "process" | "power"): boolean {
    const { storage } = this.rig;
    this.#start();
    storage.crashAtCall = storage.calls + call;
    try {
      this.#act(steps);
    } catch (error) {
      if (!storage.hasCrashed) throw error;
    }
    const { hasCrashed } = storage;
    this.#die(kind);
    this.#start();
    this.world.finish();
    return hasCrashed;
  }

  // Lives and deaths.

  #start(): void {
    const { rig } = this;
    const { storage } = rig;
    for (let tries = 0; ; tries += 1) {
      if (tries < 3 && this.#random.oneIn(4)) storage.crashAtCall = storage.calls + this.#random.below(80);
      try {
        rig.open();
        this.world.recover();
        storage.crashAtCall = Number.POSITIVE_INFINITY;
        if (!storage.hasCrashed) return;
      } catch (error) {
        if (!storage.hasCrashed) throw error;
      }
      this.#die(this.#random.pick(["process", "power"]));
    }
  }

  #live(): void {
    const random = this.#random;
    const { storage } = this.rig;
    const ending = random.pick(["clean", "process", "power", "at-a-call", "at-a-call"] as const);
    if (ending === "at-a-call") storage.crashAtCall = storage.calls + random.below(300);
    try {
      this.#act(40 + random.below(250));
      this.rig.storage.capacityBytes = Number.POSITIVE_INFINITY;
      if (ending === "clean") {
        this.rig.clock.advance(1000);
        this.rig.stopCleanly();
        this.world.hear();
      }
    } catch (error) {
      if (!storage.hasCrashed) throw error;
    }
    this.#die(ending === "process" ? "process" : "power");
  }

  #die(kind: "process" | "power"): void {
    this.rig.crash(kind);
    this.rig.storage.capacityBytes = Number.POSITIVE_INFINITY;
    this.restarts += 1;
    this.world.onShardRestart();
  }

  #act(steps: number): void {
    for (let step = 0; step < steps && !this.rig.storage.hasCrashed; step += 1) {
      this.#step();
      this.world.hear();
    }
  }

  #step(): void {
    const { rig, world } = this;
    const random = this.#random;
    const choice = random.below(32);
    if (choice < 4) world.publish();
    else if (choice < 8) world.lend();
    else if (choice < 14) world.settleSome();
    else if (choice < 20) {
      if (random.oneIn(5)) rig.shard.doWork();
      else this.#cycle();
    } else if (choice < 25) rig.sync();
    else if (choice < 27) {
      rig.serveFetches(1 + random.below(3));
      rig.serveColdReads();
    } else if (choice === 27) rig.background.step();
    else if (choice === 28) rig.clock.advance(random.below(random.oneIn(4) ? LEASE_MS * 2 : 400));
    else if (choice === 29) world.recallSome();
    else if (choice === 30) this.#rarely();
    else this.#cycle();
  }

  #cycle(): void {
    this.rig.cycle();
    this.world.heardAll();
  }

  #rarely(): void {
    const { rig, world } = this;
    const choice = this.#random.below(12);
    if (choice > 9) {
      world.loseGateway();
      return;
    }
    if (choice > 7) {
      if (this.#moves) world.seek();
      return;
    }
    if (choice === 7) world.truncate();
    else if (choice > 4) this.#fillDisk();
    else if (choice === 0) rig.shard.checkpoint(false);
    else if (choice === 1) rig.clock.setWallBack(this.#random.below(5000));
    else if (choice === 2) world.pauseSome();
    else if (choice === 3) world.redrive();
    else world.detachSome();
  }

  #fillDisk(): void {
    const { storage } = this.rig;
    const used = storage.contents().reduce((sum, { size }) => sum + size, 0);
    const isFull = this.#random.oneIn(3);
    storage.capacityBytes = isFull ? used + this.#random.below(4000) : Number.POSITIVE_INFINITY;
  }
}
