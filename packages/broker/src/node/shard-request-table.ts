import { errorNameOf, MillraceError } from "@millrace/protocol";
import { Packr } from "msgpackr";
import { BROKER_LIMITS } from "../limits.ts";
import type { GatewayIds } from "../link/gateway-ids.ts";
import type { ShardRequestMap } from "../shard/shard-requests.ts";

const packr = new Packr({ useRecords: false });

interface Pending {
  readonly shardId: number;
  readonly kind: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: MillraceError) => void;
  readonly timer: NodeJS.Timeout;
}

/** Control requests of a node that its shards have not answered yet. Main thread only. */
export class ShardRequestTable {
  readonly #pending: Map<number, Pending> = new Map();
  readonly #ids: GatewayIds;
  readonly #isPending = (requestId: number): boolean => this.#pending.has(requestId);

  /** @param ids of the gateway that asks */
  constructor(ids: GatewayIds) {
    this.#ids = ids;
  }

  /**
   * @param send hands the request to the shard; false = it is down.
   * @returns the shard's answer; rejects with what the shard refused, SHARD_RESTARTED, or INTERNAL after controlTimeoutMs.
   */
  ask<K extends keyof ShardRequestMap>(
    shardId: number,
    kind: K,
    args: ShardRequestMap[K]["args"],
    send: (requestId: number, payload: Uint8Array) => boolean,
  ): Promise<ShardRequestMap[K]["reply"]> {
    const requestId = this.#ids.next(this.#isPending);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(requestId);
        reject(
          new MillraceError(
            "INTERNAL",
            `shard ${shardId} did not answer ${kind} within ${BROKER_LIMITS.controlTimeoutMs} ms`,
          ),
        );
      }, BROKER_LIMITS.controlTimeoutMs);
      this.#pending.set(requestId, {
        shardId,
        kind,
        resolve: resolve as (value: unknown) => void,
        reject,
        timer,
      });
      let sent: boolean;
      try {
        sent = send(requestId, packr.pack([kind, ...args]));
      } catch (error) {
        this.#settle(requestId);
        throw error;
      }
      if (!sent) this.#settle(requestId)?.reject(restarted(shardId, kind));
    });
  }

  onReply(requestId: number, payload: Uint8Array): void {
    const pending = this.#settle(requestId);
    if (pending === undefined) return;
    const [number, value, details] = packr.unpack(payload) as [number, unknown, Record<string, unknown>?];
    if (number === 0) pending.resolve(value);
    else
      pending.reject(
        new MillraceError(
          errorNameOf(number) ?? "INTERNAL",
          String(value),
          details ? { details } : undefined,
        ),
      );
  }

  /** The shard is gone: nothing it was asked will be answered. */
  rejectShard(shardId: number): void {
    for (const [requestId, pending] of this.#pending) {
      if (pending.shardId === shardId) this.#settle(requestId)?.reject(restarted(shardId, pending.kind));
    }
  }

  #settle(requestId: number): Pending | undefined {
    const pending = this.#pending.get(requestId);
    if (pending === undefined) return undefined;
    this.#pending.delete(requestId);
    clearTimeout(pending.timer);
    return pending;
  }
}

function restarted(shardId: number, kind: string): MillraceError {
  return new MillraceError("SHARD_RESTARTED", `shard ${shardId} is being restarted: request=${kind}`, {
    details: { shardId, retryAfterMs: BROKER_LIMITS.retryAfterMs },
  });
}
