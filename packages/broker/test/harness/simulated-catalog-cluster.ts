import { MillraceError } from "@millrace/protocol";
import type { CatalogPush } from "../../src/cluster/catalog-feed.ts";
import type { Seeded } from "./seeded.ts";
import {
  type CatalogFaults,
  SimulatedCatalogNode,
  type SimulatedMap,
  type SimulatedNetwork,
} from "./simulated-catalog-node.ts";
import { SimulatedCatalogShards, Violation } from "./simulated-catalog-shards.ts";
import { VirtualTime } from "./virtual-time.ts";

/** The connection that one node has made to another one. */
interface Link {
  isUp: boolean;
  /** Rejects what waits for an answer over it. */
  readonly pending: Set<() => void>;
  /** When what was sent last arrives, there and back. */
  readonly arrivals: [there: number, back: number];
  /** Which life of the connection this is. */
  life: number;
}

/** Writes of the catalog: their answers may be lost, as when a shard takes too long. */
const WRITES = new Set(["createTopic", "createSubscription", "alterSubscription", "deleteTopic"]);

/**
 * Nodes, links that fail, and a supervisor that moves shards, closes them, and takes them over from nodes that die or hang. What
 * counts as durable is SimulatedCatalogShards.
 */
export class SimulatedCatalogCluster implements SimulatedNetwork {
  readonly time: VirtualTime = new VirtualTime();
  readonly shards: SimulatedCatalogShards;
  readonly nodes: SimulatedCatalogNode[];
  readonly #random: Seeded;
  readonly #faults: CatalogFaults;
  readonly #links: Map<string, Link> = new Map();
  #map: SimulatedMap;
  readonly #opening: Set<number> = new Set();
  isHealed = false;
  readonly counts = { moves: 0, deaths: 0, cuts: 0, lostAnswers: 0 };
  violation: Error | undefined;

  constructor(random: Seeded, nodes: number, shards: number, faults: CatalogFaults = {}) {
    this.#random = random;
    this.#faults = faults;
    this.shards = new SimulatedCatalogShards(shards);
    this.#map = {
      version: 1,
      shards: Array.from({ length: shards }, () => ({ nodeId: null, epoch: 0 })),
    };
    this.nodes = Array.from(
      { length: nodes },
      (_, nodeId) => new SimulatedCatalogNode(nodeId, this, this.#faults),
    );
    for (let shardId = 0; shardId < shards; shardId += 1) this.move(shardId);
  }

  get shardCount(): number {
    return this.shards.shards.length;
  }

  node(nodeId: number): SimulatedCatalogNode {
    return this.nodes[nodeId] as SimulatedCatalogNode;
  }

  ownerOf(shardId: number): number | null {
    return this.#map.shards[shardId]?.nodeId ?? null;
  }

  // ---- network ----

  async ask(
    from: SimulatedCatalogNode,
    shardId: number,
    kind: string,
    args: readonly unknown[],
  ): Promise<unknown> {
    if (from.isDead) return NEVER;
    if (from.openings.has(shardId)) {
      const opening = from.openings.get(shardId);
      return this.#carry(from, shardId, opening?.epoch ?? 0, kind, args);
    }
    const entry = from.map.shards[shardId];
    if (entry?.nodeId == null || entry.nodeId === from.nodeId) throw restarted(shardId);
    const { nodeId, epoch } = entry;
    return this.#over(from, nodeId, () => {
      const owner = this.node(nodeId);
      const opening = owner.openings.get(shardId);
      if (opening === undefined || !opening.isServed || opening.epoch !== epoch) throw restarted(shardId);
      return this.#carry(owner, shardId, epoch, kind, args);
    });
  }

  call(from: SimulatedCatalogNode, to: number, method: string, args: readonly unknown[]): Promise<unknown> {
    return this.#over(from, to, async () =>
      structuredClone(await this.node(to).answer(method, structuredClone(args) as unknown[], from.nodeId)),
    );
  }

  push(from: SimulatedCatalogNode, push: CatalogPush): void {
    const payload = structuredClone(push);
    for (const to of this.nodes) {
      const link = this.#link(to, from.nodeId);
      if (to === from || !link.isUp) continue;
      const { life } = link;
      this.#send(link, 1, () => {
        if (link.life === life && !to.isDead) to.follower.onPush(payload);
      });
    }
  }

  isLinked(from: SimulatedCatalogNode, to: number): boolean {
    return this.#link(from, to).isUp;
  }

  #link(from: SimulatedCatalogNode, to: number): Link {
    const key = `${from.nodeId}>${to}`;
    let link = this.#links.get(key);
    if (link === undefined) {
      link = { isUp: true, pending: new Set(), arrivals: [0, 0], life: 0 };
      this.#links.set(key, link);
    }
    return link;
  }

  /** In the order in which it was sent. */
  #send(link: Link, direction: 0 | 1, deliver: () => void): void {
    const nowMs = this.time.monotonicMs();
    const atMs = Math.max(
      link.arrivals[direction],
      nowMs + this.#random.below(this.#random.oneIn(10) ? 80 : 4),
    );
    link.arrivals[direction] = atMs;
    this.time.after(atMs - nowMs, deliver);
  }

  #over(from: SimulatedCatalogNode, to: number, work: () => Promise<unknown>): Promise<unknown> {
    const link = this.#link(from, to);
    if (from.isDead) return NEVER;
    if (!link.isUp) return Promise.reject(restarted(to));
    const { life } = link;
    return new Promise((resolve, reject) => {
      const lose = (): void => reject(restarted(to));
      link.pending.add(lose);
      this.#send(link, 0, () => {
        if (link.life !== life) return;
        const answer = (settle: () => void) => (): void => {
          if (link.life !== life) return;
          this.#send(link, 1, () => {
            if (link.life !== life) return;
            link.pending.delete(lose);
            settle();
          });
        };
        let worked: Promise<unknown>;
        try {
          worked = work();
        } catch (error) {
          worked = Promise.reject(error);
        }
        worked.then(
          (value) => answer(() => resolve(value))(),
          (error: unknown) => answer(() => reject(error as Error))(),
        );
      });
    });
  }

  /** A request in the ring of its shard: carried out if the opening still counts. */
  #carry(
    owner: SimulatedCatalogNode,
    shardId: number,
    epoch: number,
    kind: string,
    args: readonly unknown[],
  ): Promise<unknown> {
    const isLost = WRITES.has(kind) && !this.isHealed && this.#random.oneIn(60);
    return new Promise((resolve, reject) => {
      // One ring: in order, whoever asks.
      this.#send(this.#link(owner, owner.nodeId), 0, () => {
        if (owner.isDead) return;
        const shard = this.shards.shard(shardId);
        if (shard.epoch !== epoch || owner.openings.get(shardId)?.epoch !== epoch) {
          // Fenced, and the node notices.
          if (owner.openings.get(shardId)?.epoch === epoch) owner.close(shardId);
          reject(restarted(shardId));
          return;
        }
        try {
          const reply = this.shards.handle(shardId, kind, args);
          if (isLost) {
            this.counts.lostAnswers += 1;
            this.time.after(300, () => reject(new MillraceError("INTERNAL", `no answer to ${kind}`)));
          } else resolve(reply);
        } catch (error) {
          if (!(error instanceof MillraceError)) this.violation ??= error as Error;
          reject(error as Error);
        }
      });
    });
  }

  // ---- what goes wrong ----

  cutLink(): void {
    const from = this.#random.pick(this.nodes);
    const to = this.#random.pick(this.nodes);
    if (from !== to) this.#cut(from, to.nodeId, 5 + this.#random.below(this.#random.oneIn(3) ? 1_500 : 40));
  }

  #cut(from: SimulatedCatalogNode, to: number, forMs: number): void {
    const link = this.#link(from, to);
    if (!link.isUp) return;
    this.counts.cuts += 1;
    link.isUp = false;
    link.life += 1;
    for (const lose of link.pending) lose();
    link.pending.clear();
    from.relink();
    this.time.after(forMs, () => {
      link.isUp = true;
      // Whoever has that number by now.
      this.node(from.nodeId).relink(to);
    });
  }

  /** A node dies, and another one with its number starts. */
  kill(nodeId: number): void {
    this.counts.deaths += 1;
    const old = this.node(nodeId);
    const lost = [...old.openings.keys()];
    old.die();
    this.nodes[nodeId] = new SimulatedCatalogNode(nodeId, this, this.#faults);
    for (const other of this.nodes) {
      if (other.nodeId === nodeId) continue;
      this.#cut(old, other.nodeId, 20 + this.#random.below(100));
      this.#cut(other, nodeId, 20 + this.#random.below(100));
    }
    this.#tellMap(this.node(nodeId));
    for (const shardId of lost) this.move(shardId);
  }

  /** The shard gets another owner. The one before is told first, or finds out later. */
  move(shardId: number): void {
    if (this.#opening.has(shardId)) return;
    this.#opening.add(shardId);
    this.counts.moves += 1;
    const owner = this.ownerOf(shardId);
    if (owner !== null && this.#random.oneIn(2)) this.node(owner).close(shardId);
    if (this.#random.oneIn(2)) this.#newMap(shardId, null, this.shards.shard(shardId).epoch);
    void this.#open(shardId);
  }

  async #open(shardId: number): Promise<void> {
    for (;;) {
      const node = this.#random.pick(this.nodes);
      await this.time.sleep(5 + this.#random.below(30));
      const shard = this.shards.shard(shardId);
      shard.epoch += 1;
      const { epoch } = shard;
      const abort = new AbortController();
      const cancel = this.time.after(1_000, () => abort.abort(new Error("too long")));
      node.close(shardId);
      try {
        const opened = node.open(shardId, epoch, abort.signal).then(() => true);
        const inTime = await Promise.race([opened, this.time.sleep(1_500).then(() => false)]);
        opened.catch(() => {});
        if (inTime && !node.isDead) {
          this.#opening.delete(shardId);
          this.#newMap(shardId, node.nodeId, epoch);
          return;
        }
      } catch (error) {
        if (error instanceof Violation || error instanceof TypeError) this.violation ??= error;
      }
      cancel();
      node.close(shardId);
    }
  }

  #newMap(shardId: number, nodeId: number | null, epoch: number): void {
    const shards = this.#map.shards.map((entry, i) => (i === shardId ? { nodeId, epoch } : entry));
    this.#map = { version: this.#map.version + 1, shards };
    for (const node of this.nodes) this.#tellMap(node);
  }

  #tellMap(node: SimulatedCatalogNode): void {
    const map = this.#map;
    this.time.after(this.#random.below(this.#random.oneIn(5) ? 200 : 10), () => node.onMap(map));
  }

  get isWhole(): boolean {
    return this.#opening.size === 0 && [...this.#links.values()].every(({ isUp }) => isUp);
  }
}

const NEVER: Promise<never> = new Promise(() => {});

function restarted(what: number): MillraceError {
  return new MillraceError("SHARD_RESTARTED", `lost: ${what}`);
}
