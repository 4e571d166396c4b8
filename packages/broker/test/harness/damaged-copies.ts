import assert from "node:assert/strict";
import { SeededRandom, type SimulatedStorage } from "@millrace/journal/internal";
import { MillraceError } from "@millrace/protocol";
import type { Seeded } from "./seeded.ts";
import { ShardRig } from "./shard-rig.ts";
import { GATEWAYS, ReadRefused, type SimulatedWorld } from "./simulated-world.ts";

const SEGMENT = /(\d{16})-\d{8}\.log$/;

/** What came of one damaged bit. */
export type DamageOutcome = "refused at start" | "refused at a read" | "harmless";

/**
 * Copies of a machine that has stopped, each with one damaged bit. Everything before `provenPosition` of the journal is known
 * to have been durable by an entry behind it; only there damage can be told from a write that was torn.
 */
export class DamagedCopies {
  readonly #storage: SimulatedStorage;
  readonly #world: SimulatedWorld;
  readonly #random: Seeded;
  readonly #provenPosition: number;

  constructor(storage: SimulatedStorage, world: SimulatedWorld, random: Seeded, provenPosition: number) {
    this.#storage = storage;
    this.#world = world;
    this.#random = random;
    this.#provenPosition = provenPosition;
  }

  /** Damages one bit somewhere and starts the shard. @throws AssertionError when the damage goes unnoticed and matters */
  one(): DamageOutcome {
    const { path, position, bit } = this.#someBit();
    const storage = this.#storage.clone(new SeededRandom(this.#random.below(2 ** 31)));
    storage.flipBit(path, position, bit);
    const rig = new ShardRig({ shardId: 0, shardCount: 1, storage, gateways: GATEWAYS });
    this.#world.onShardRestart();
    try {
      rig.open();
      this.#world.compare(rig, "synced");
      return "harmless";
    } catch (error) {
      if (error instanceof ReadRefused) {
        assert.match(`${rig.readFailures.at(-1)}`, /^JOURNAL_DAMAGED/);
        return "refused at a read";
      }
      if (error instanceof MillraceError && error.code === "JOURNAL_DAMAGED") {
        assert.equal(typeof error.details.file, "string");
        assert.equal(typeof error.details.position, "number");
        return "refused at start";
      }
      throw new Error(`bit ${bit} of byte ${position} of ${path}: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  #someBit(): { path: string; position: number; bit: number } {
    const random = this.#random;
    for (;;) {
      const { path, size } = random.pick(this.#storage.contents());
      if (size === 0) continue;
      const position = random.below(size);
      const base = SEGMENT.exec(path)?.[1];
      if (base !== undefined && Number(base) + position >= this.#provenPosition) continue;
      return { path, position, bit: random.below(8) };
    }
  }
}
