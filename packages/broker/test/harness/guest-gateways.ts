import { dispatchOutbound, type GuestRoutes } from "../../src/node/outbound-reader.ts";
import type { RecordingGateway } from "./recording-gateway.ts";

/** Gateways of other processes: each is told of copies of the records that are for it, as a link would bring them. */
export class GuestGateways implements GuestRoutes {
  readonly #guests: Map<number, RecordingGateway> = new Map();

  add(guest: RecordingGateway): void {
    this.#guests.set(guest.gateway, guest);
  }

  get(gateway: number): RecordingGateway | undefined {
    return this.#guests.get(gateway);
  }

  all(): Iterable<RecordingGateway> {
    return this.#guests.values();
  }

  forward(gateway: number, shardId: number, bytes: Buffer, index: number, length: number): void {
    const guest = this.#guests.get(gateway);
    if (guest === undefined) throw new Error(`a record for gateway ${gateway}, which nobody is`);
    const copy = Buffer.from(new ArrayBuffer((length + 7) & ~7));
    bytes.copy(copy, 0, index, index + length);
    dispatchOutbound(guest, guest, shardId, new Int32Array(copy.buffer), copy, 0);
  }

  broadcast(shardId: number, bytes: Buffer, index: number, length: number): void {
    for (const gateway of this.#guests.keys()) this.forward(gateway, shardId, bytes, index, length);
  }
}
