import { mkdirSync } from "node:fs";
import { Doorbell } from "@millrace/core";
import type { Test } from "tap";
import { BROKER_LIMITS } from "../../src/limits.ts";
import { GatewayIds } from "../../src/link/gateway-ids.ts";
import { shardDirectory } from "../../src/node/data-folder.ts";
import type { GatewayHandler } from "../../src/node/gateway-handler.ts";
import type { GatewayLink } from "../../src/node/gateway-link.ts";
import { ShardRequestTable } from "../../src/node/shard-request-table.ts";
import { type OpenedShard, ShardThreads } from "../../src/node/shard-threads.ts";
import type { ShardRequestMap } from "../../src/shard/shard-requests.ts";

const SHARDS = 3;
const POLL_MS = 5;
/** Of a loaded machine. */
const PATIENCE_MS = 60_000;

/** Threads with a main thread that does no more than to ask their shards. */
export class ShardThreadsRig {
  readonly threads: ShardThreads;
  readonly links: Map<number, GatewayLink> = new Map();
  readonly heard: string[] = [];
  readonly events: string[] = [];
  readonly #requests: ShardRequestTable = new ShardRequestTable(new GatewayIds(0));
  readonly #timer: NodeJS.Timeout;

  constructor(t: Test, dataDir: string, threads: number) {
    for (let shard = 0; shard < SHARDS; shard += 1)
      mkdirSync(shardDirectory(dataDir, shard), { recursive: true });
    this.threads = new ShardThreads({
      dataDir,
      shardCount: SHARDS,
      threads,
      gatewayDoorbell: Doorbell.allocate(),
      replies: this.#requests,
      storage: { segmentBytes: BROKER_LIMITS.segmentBytesMin, reserveBytes: 0 },
      logger: { log: (_level, event) => void this.events.push(event) },
      handler: {
        onPoke: () => {},
        onShardDown: (shardId) => {
          this.heard.push(`down ${shardId}`);
          this.lose(shardId);
        },
        onShardsReopened: async (opened) => {
          for (const shard of opened) this.#hold(shard);
          this.heard.push(`up ${opened.map(({ recovered }) => recovered.shardId).join(" ")}`);
        },
        onShardFailed: (shardId, error) => void this.heard.push(`failed ${shardId} ${error.code}`),
        onShardFenced: (shardId, error) => void this.heard.push(`fenced ${shardId} ${error.message}`),
      },
    });
    // In place of the turns of an event loop that doorbells wake.
    const handler = new Proxy({}, { get: () => () => {} }) as GatewayHandler;
    this.#timer = setInterval(() => {
      for (const link of this.links.values()) link.outbound.drain(handler, 1 << 20);
    }, POLL_MS);
    t.teardown(async () => {
      await this.threads.terminate();
      clearInterval(this.#timer);
    });
  }

  async open(shardId: number): Promise<OpenedShard> {
    const opened = await this.threads.open(shardId);
    this.#hold(opened);
    return opened;
  }

  async close(shardId: number): Promise<boolean> {
    const { clean } = await this.threads.close(shardId);
    this.links.delete(shardId);
    return clean;
  }

  ask<K extends keyof ShardRequestMap>(
    shardId: number,
    kind: K,
    args: ShardRequestMap[K]["args"],
  ): Promise<ShardRequestMap[K]["reply"]> {
    return this.#requests.ask(shardId, kind, args, (requestId, payload) => {
      const link = this.links.get(shardId);
      link?.request(requestId, payload);
      link?.flush();
      return link !== undefined;
    });
  }

  /** The shard answers, and commits. */
  async commits(shardId: number): Promise<boolean> {
    await this.ask(shardId, "reconcile", [[], true, false, []]);
    return (await this.ask(shardId, "commit", [])) >= 0;
  }

  /** Nothing that it was asked is answered any more. */
  lose(shardId: number): void {
    this.links.delete(shardId);
    this.#requests.rejectShard(shardId);
  }

  async until(condition: () => boolean, what: string): Promise<void> {
    for (let waitedMs = 0; !condition(); waitedMs += POLL_MS) {
      if (waitedMs > PATIENCE_MS) throw new Error(`waited in vain until ${what}: ${this.heard.join(", ")}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  #hold({ recovered, link }: OpenedShard): void {
    this.links.set(recovered.shardId, link);
  }
}
