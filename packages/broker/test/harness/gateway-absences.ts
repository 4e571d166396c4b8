import assert from "node:assert/strict";
import type { RecordingGateway } from "./recording-gateway.ts";

/**
 * Guests that lose their way to the shard, are forgotten there, and come back under the same number with the same ids. What
 * is said to them in between is lost; from then on nothing may be said to them that is about what was before.
 */
export class GatewayAbsences {
  readonly #away: Set<number> = new Set();
  /** By request of the owner. */
  readonly #asked: Map<number, { readonly gateway: number; readonly kind: string }> = new Map();

  isAway(gateway: number): boolean {
    return this.#away.has(gateway);
  }

  /** Their process is gone, or the link to it. */
  leave(owner: RecordingGateway, gateway: number): void {
    assert.ok(gateway !== owner.gateway && !this.isAway(gateway));
    this.#away.add(gateway);
    this.#asked.set(owner.ask("gatewayGone", [gateway]), { gateway, kind: "gatewayGone" });
  }

  /** An answer of the shard. @returns the gateway that is back by it */
  onReply(owner: RecordingGateway, requestId: number): number | undefined {
    const asked = this.#asked.get(requestId);
    if (asked === undefined) return undefined;
    this.#asked.delete(requestId);
    const { gateway, kind } = asked;
    if (kind === "gatewayGone") {
      this.#asked.set(owner.ask("readsAnswered", []), { gateway, kind: "readsAnswered" });
      return undefined;
    }
    this.#away.delete(gateway);
    return gateway;
  }

  /** All come back to the next life. */
  onShardRestart(): void {
    this.#away.clear();
    this.#asked.clear();
  }
}
