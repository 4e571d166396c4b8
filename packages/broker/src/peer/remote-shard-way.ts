import { INSUFFICIENT_CAPACITY } from "@millrace/core";
import { alignRecord, RECORD_HEADER_BYTES } from "@millrace/core/internal";
import { ENTRY_HEADER_BYTES } from "@millrace/journal/internal";
import { BROKER_LIMITS } from "../limits.ts";
import { INBOUND, RING_INBOUND, ringOf } from "../link/inbound-layout.ts";
import type { RefusalReason } from "../link/link-buffers.ts";
import { SHARD_DOWN } from "../node/gateway-port.ts";
import { InboundWriter } from "../node/inbound-writer.ts";
import type { OutboundReader } from "../node/outbound-reader.ts";
import type { ShardWay } from "../node/shard-way.ts";
import { LaneCredit } from "./lane-credit.ts";
import type { PeerConnection } from "./peer-connection.ts";

/** A REQUEST for which there was no credit. */
interface WaitingRequest {
  readonly requestId: number;
  readonly payload: Uint8Array;
}

/** Longest payload of a ring record: what the owner's rings take. */
const PAYLOAD_BYTES_MAX = BROKER_LIMITS.inboundRingBytes / 8 - RECORD_HEADER_BYTES;

/**
 * The way to a shard of another node: what is written goes into the memory from which the link's socket sends, and comes out
 * of it as it is in the shard's rings. Each of the three rings has credit of its own, so that a full one stops nothing else;
 * batches also wait while the socket is far behind. Gateway thread only.
 */
export class RemoteShardWay extends InboundWriter implements ShardWay {
  readonly refusal: RefusalReason | undefined = undefined;
  readonly outbound: OutboundReader | undefined = undefined;
  readonly #connection: PeerConnection;
  readonly #laneId: number;
  readonly #credits: readonly LaneCredit[];
  readonly #schedule: () => void;
  readonly #waitingRequests: WaitingRequest[] = [];
  /** Something found no room … */
  #waiting = false;
  /** … and there is some since. */
  #hasSpace = false;
  #isDown = false;

  /** @param schedule plans the turn in which takeSpace() is asked */
  constructor(
    connection: PeerConnection,
    laneId: number,
    windows: readonly [number, number, number],
    schedule: () => void,
  ) {
    super();
    this.#connection = connection;
    this.#laneId = laneId;
    this.#credits = windows.map((bytes) => new LaneCredit(bytes));
    this.#schedule = schedule;
  }

  get bytes(): Buffer {
    return this.#connection.output.bytes;
  }

  get words(): Int32Array {
    return this.#connection.output.words;
  }

  /** Bytes of batches that may be sent now. */
  get creditBytes(): number {
    return (this.#credits[RING_INBOUND] as LaneCredit).available;
  }

  claimBatch(storedBytes: number): number {
    // A small batch could find room where a waiting request did not, and reach its partition before it is opened.
    if (this.#waitingRequests.length > 0) return INSUFFICIENT_CAPACITY;
    const { output } = this.#connection;
    if (output.queuedBytes >= BROKER_LIMITS.peerOutputBytesMax && !this.#isDown) {
      output.isAwaited = this.#waiting = true;
      return INSUFFICIENT_CAPACITY;
    }
    return this.claimRecord(INBOUND.BATCH, ENTRY_HEADER_BYTES - RECORD_HEADER_BYTES + storedBytes);
  }

  /** Nothing that was claimed before the link fell reaches anybody. */
  commitBatch(index: number): void {
    this.#connection.output.commit(index);
  }

  request(requestId: number, payload: Uint8Array): void {
    if (this.#waitingRequests.length > 0 || !this.writeRequest(requestId, payload)) {
      this.#waitingRequests.push({ requestId, payload });
    }
  }

  flush(): void {
    if (this.#connection.output.isDirty) this.#connection.planWrite();
  }

  takeSpace(): boolean {
    if (!this.#hasSpace) return false;
    this.#hasSpace = this.#waiting = false;
    this.#sendRequests();
    return this.#waitingRequests.length === 0;
  }

  /** @throws PeerProtocolError */
  raise(ring: number, limit: number): void {
    if (this.#credits[ring]?.raise(limit)) this.#foundSpace();
  }

  /** The socket has caught up. */
  socketDrained(): void {
    this.#foundSpace();
  }

  /** The lane has ended: nothing more is taken. */
  down(): void {
    this.#isDown = true;
    this.#waitingRequests.length = 0;
    this.#waiting = this.#hasSpace = false;
  }

  protected override claimRecord(type: number, bytes: number): number {
    if (this.#isDown) return SHARD_DOWN;
    if (bytes > PAYLOAD_BYTES_MAX) {
      throw new RangeError(`too long for a ring: bytes=${bytes} bytesMax=${PAYLOAD_BYTES_MAX}`);
    }
    const ring = ringOf(type);
    if (!(this.#credits[ring] as LaneCredit).take(alignRecord(RECORD_HEADER_BYTES + bytes))) {
      this.#waiting = true;
      return INSUFFICIENT_CAPACITY;
    }
    this.#connection.select(this.#laneId, ring);
    return this.#connection.output.claim(type, bytes);
  }

  protected override recordBytes(): Buffer {
    return this.#connection.output.bytes;
  }

  protected override recordWords(): Int32Array {
    return this.#connection.output.words;
  }

  protected override commitRecord(_type: number, index: number): void {
    this.#connection.output.commit(index);
  }

  #foundSpace(): void {
    this.#sendRequests();
    if (!this.#waiting) return;
    this.#hasSpace = true;
    this.#schedule();
  }

  #sendRequests(): void {
    let sent = 0;
    for (const { requestId, payload } of this.#waitingRequests) {
      if (!this.writeRequest(requestId, payload)) break;
      sent += 1;
    }
    if (sent === 0) return;
    this.#waitingRequests.splice(0, sent);
    this.flush();
  }
}
