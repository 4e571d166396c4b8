import {
  FRAME_TYPE,
  FrameReader,
  FrameWriter,
  LeasedReader,
  SETTLE_ACTION,
} from "@millrace/protocol/internal";

/** Rows of one SETTLE frame. */
const ROWS_MAX = 1_000;
/** Settle ids that can be unanswered; a power of two. */
const UNANSWERED_MAX = 131_072;

/** Acks whole leases as they come, one row each, without looking at the records, and counts what has been confirmed. */
export class LeaseAcker {
  /** Records whose ack was confirmed. */
  records = 0;
  /** Leases, and LEASED frames that brought them. */
  leases = 0;
  frames = 0;
  readonly #send: (frame: Uint8Array) => void;
  readonly #leased: LeasedReader = new LeasedReader();
  readonly #reader: FrameReader = new FrameReader();
  readonly #writer: FrameWriter = new FrameWriter();
  readonly #rows: FrameWriter = new FrameWriter();
  /** Records of each settle that is not answered yet. */
  readonly #counts: Uint8Array = new Uint8Array(UNANSWERED_MAX);
  #settleId = 0;

  /** `send` is given SETTLE frames, valid only during the call. */
  constructor(send: (frame: Uint8Array) => void) {
    this.#send = send;
  }

  readonly onLeased = (bytes: Buffer, start: number, end: number): void => {
    const leased = this.#leased;
    const rows = this.#rows;
    leased.reset(bytes, start, end);
    this.frames++;
    let count = 0;
    rows.reset();
    while (leased.next()) {
      this.#settleId = (this.#settleId + 1) % UNANSWERED_MAX;
      this.#counts[this.#settleId] = leased.count;
      rows.arrayHeader(7);
      rows.uint(this.#settleId);
      rows.uint(SETTLE_ACTION.ACK);
      rows.uint(leased.partition);
      rows.uint(leased.leaseEpoch);
      rows.uint(leased.leaseCounter);
      rows.uint(leased.baseOffset);
      rows.uint(leased.count);
      this.leases++;
      if (++count === ROWS_MAX) {
        this.#sendRows(leased.consumerId, count);
        count = 0;
      }
    }
    if (count > 0) this.#sendRows(leased.consumerId, count);
  };

  /** @throws Error when an ack was refused */
  readonly onSettled = (bytes: Buffer, start: number, end: number): void => {
    const reader = this.#reader;
    reader.reset(bytes, start, end);
    reader.arrayHeader();
    reader.uint();
    reader.uint();
    for (let left = reader.arrayHeader(); left > 0; left--) {
      reader.arrayHeader();
      const settleId = reader.uint();
      const outcome = reader.uint();
      if (outcome !== 0) throw new Error(`an ack was refused: error=${outcome}`);
      this.records += this.#counts[settleId] as number;
    }
  };

  #sendRows(consumerId: number, count: number): void {
    const writer = this.#writer;
    writer.reset();
    writer.arrayHeader(3);
    writer.uint(FRAME_TYPE.SETTLE);
    writer.uint(consumerId);
    writer.arrayHeader(count);
    writer.raw(this.#rows.bytes());
    this.#rows.reset();
    this.#send(writer.bytes());
  }
}
