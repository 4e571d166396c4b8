import {
  BATCH_HEAD_BYTES,
  CHECKSUM_TRAILER_BYTES,
  DELIVER_ENTRY_HEAD_BYTES,
  DELIVER_HEAD_BYTES,
} from "@millrace/protocol/internal";

/** Receives what a FrameScanner finds. */
export interface FrameHandler {
  /** A whole frame's payload, chunk[start, end), valid only during the call. */
  onFrame(chunk: Buffer, start: number, end: number): void;
  /** A WebSocket ping with its payload. */
  onPing(chunk: Buffer, start: number, end: number): void;
  /** A DELIVER frame's next entry: `count` records from `baseOffset` on. */
  onEntry(baseOffset: number, count: number): void;
  /** A DELIVER frame is over; `frameBytes` is what it took from the subscription's credit. */
  onDelivered(frameBytes: number): void;
}

/**
 * DELIVER as every broker writes it (docs/reference/wire-protocol.md), all widths fixed:
 *
 *     0x94 0x22 | ce streamId | cf nextOffset | dd entryCount                       21 bytes, then each entry
 *     0x95 | cf baseOffset | ce count | cf appendTime                               24 bytes
 *     0x97 version flags codec | ce count | ce uncompressedBytes | schemaId | c6 n   20 bytes
 *     n bytes of records | ce checksum                                             n + 5 bytes
 */
const ENTRY_HEAD_BYTES = DELIVER_ENTRY_HEAD_BYTES + BATCH_HEAD_BYTES;
const DELIVER = 0x9422;

/** Frames up to this length are gathered and handled whole; only longer ones are walked as they come. */
const GATHER_BYTES_MAX = 4096;
const SCRATCH_BYTES = 4 * 1024 * 1024;

const OPCODE = { binary: 2, close: 8, ping: 9, pong: 10 } as const;

// What the next `need` bytes are.
const HEAD = 0;
const LENGTH_16 = 1;
const LENGTH_64 = 2;
const WHOLE_FRAME = 3;
const DELIVER_HEAD = 4;
const ENTRY_HEAD = 5;

/**
 * Cuts a server's byte stream into WebSocket frames, without copying: only heads that are split between
 * two reads are gathered first. Long DELIVER frames are walked entry by entry and their records skipped.
 */
export class FrameScanner {
  readonly #handler: FrameHandler;
  readonly #scratch: Buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  #gathered = 0;
  #state: number = HEAD;
  #need = 2;
  #skip = 0;
  #opcode = 0;
  #frameBytes = 0;
  #entriesLeft = 0;
  #frameBytesLeft = 0;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  readonly push = (chunk: Buffer, length: number): void => {
    let at = 0;
    while (at < length) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, length - at);
        this.#skip -= skipped;
        at += skipped;
        continue;
      }
      const need = this.#need;
      if (this.#gathered === 0 && length - at >= need) {
        at += need;
        this.#step(chunk, at - need);
        continue;
      }
      const taken = Math.min(need - this.#gathered, length - at);
      chunk.copy(this.#scratch, this.#gathered, at, at + taken);
      this.#gathered += taken;
      at += taken;
      if (this.#gathered < need) return;
      this.#gathered = 0;
      this.#step(this.#scratch, 0);
    }
  };

  /** bytes[at, at + need) are there. */
  #step(bytes: Buffer, at: number): void {
    switch (this.#state) {
      case HEAD: {
        this.#opcode = (bytes[at] as number) & 0x0f;
        const length = bytes[at + 1] as number;
        if (length === 126) this.#expect(LENGTH_16, 2);
        else if (length === 127) this.#expect(LENGTH_64, 8);
        else this.#beginFrame(length);
        return;
      }
      case LENGTH_16:
        this.#beginFrame(bytes.readUInt16BE(at));
        return;
      case LENGTH_64:
        this.#beginFrame(bytes.readUInt32BE(at) * 0x1_0000_0000 + bytes.readUInt32BE(at + 4));
        return;
      case WHOLE_FRAME:
        this.#expect(HEAD, 2);
        this.#wholeFrame(bytes, at, at + this.#frameBytes);
        return;
      case DELIVER_HEAD:
        this.#deliverHead(bytes, at);
        return;
      default:
        this.#entryHead(bytes, at);
    }
  }

  #expect(state: number, need: number): void {
    this.#state = state;
    this.#need = need;
  }

  #beginFrame(frameBytes: number): void {
    this.#frameBytes = frameBytes;
    if (frameBytes === 0) {
      this.#expect(HEAD, 2);
      this.#wholeFrame(this.#scratch, 0, 0);
    } else if (frameBytes <= GATHER_BYTES_MAX) {
      this.#expect(WHOLE_FRAME, frameBytes);
    } else {
      this.#expect(DELIVER_HEAD, DELIVER_HEAD_BYTES);
    }
  }

  #wholeFrame(bytes: Buffer, start: number, end: number): void {
    if (this.#opcode === OPCODE.ping) this.#handler.onPing(bytes, start, end);
    else if (this.#opcode === OPCODE.close)
      throw new Error(`server closed: ${closeReason(bytes, start, end)}`);
    else if (this.#opcode !== OPCODE.binary) return;
    else if (end - start >= DELIVER_HEAD_BYTES && bytes.readUInt16BE(start) === DELIVER) {
      let at = start + DELIVER_HEAD_BYTES;
      for (let left = bytes.readUInt32BE(start + 17); left > 0; left--) {
        at += this.#entry(bytes, at);
      }
      this.#handler.onDelivered(end - start);
    } else this.#handler.onFrame(bytes, start, end);
  }

  #deliverHead(bytes: Buffer, at: number): void {
    if (bytes.readUInt16BE(at) !== DELIVER) {
      if (this.#frameBytes > SCRATCH_BYTES) throw new Error(`frame too long: bytes=${this.#frameBytes}`);
      // Some other long frame: gather it whole, beginning with what has been read of it.
      bytes.copy(this.#scratch, 0, at, at + DELIVER_HEAD_BYTES);
      this.#gathered = DELIVER_HEAD_BYTES;
      this.#expect(WHOLE_FRAME, this.#frameBytes);
      return;
    }
    this.#entriesLeft = bytes.readUInt32BE(at + 17);
    this.#frameBytesLeft = this.#frameBytes - DELIVER_HEAD_BYTES;
    this.#nextEntry();
  }

  #entryHead(bytes: Buffer, at: number): void {
    const entryBytes = this.#entry(bytes, at);
    this.#frameBytesLeft -= entryBytes;
    this.#entriesLeft--;
    this.#skip = entryBytes - ENTRY_HEAD_BYTES;
    this.#nextEntry();
  }

  #nextEntry(): void {
    if (this.#entriesLeft > 0) {
      this.#expect(ENTRY_HEAD, ENTRY_HEAD_BYTES);
      return;
    }
    if (this.#frameBytesLeft < 0)
      throw new Error(`DELIVER entries overrun their frame: bytes=${this.#frameBytes}`);
    this.#skip += this.#frameBytesLeft;
    this.#expect(HEAD, 2);
    this.#handler.onDelivered(this.#frameBytes);
  }

  /** Reports the entry whose heads begin at `at`; returns its whole length. */
  #entry(bytes: Buffer, at: number): number {
    if (bytes[at] !== 0x95 || bytes[at + 24] !== 0x97 || bytes[at + 39] !== 0xc6) {
      throw new Error(`not a DELIVER entry: ${bytes.toString("hex", at, at + ENTRY_HEAD_BYTES)}`);
    }
    const baseOffset = bytes.readUInt32BE(at + 2) * 0x1_0000_0000 + bytes.readUInt32BE(at + 6);
    this.#handler.onEntry(baseOffset, bytes.readUInt32BE(at + 11));
    return ENTRY_HEAD_BYTES + bytes.readUInt32BE(at + 40) + CHECKSUM_TRAILER_BYTES;
  }
}

function closeReason(bytes: Buffer, start: number, end: number): string {
  if (end - start < 2) return "no code";
  return `${bytes.readUInt16BE(start)} ${bytes.toString("utf8", start + 2, end)}`;
}
