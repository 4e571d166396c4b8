/**
 * Reads ACK frames, and nothing else, without allocating:
 *
 *     [17, publishCreditLimit, [[topicId, partition, producerId, firstSequence, count, ...], ...]]
 *
 * The generator must spend far less on an ack than the broker does, so only the two numbers that it needs
 * are kept: the credit limit and how many records the ranges cover.
 */
export class AckReader {
  creditLimit = 0;
  records = 0;
  ranges = 0;
  readonly #onRange: ((topicId: number, records: number) => void) | undefined;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;

  /** `onRange` is told about each range as it is read. */
  constructor(onRange?: (topicId: number, records: number) => void) {
    this.#onRange = onRange;
  }

  /** bytes[start, end) is an ACK frame. @throws Error when it is not laid out as above */
  read(bytes: Buffer, start: number): void {
    this.#bytes = bytes;
    this.#at = start;
    this.#arrayHeader();
    this.#uint();
    this.creditLimit = this.#uint();
    this.ranges = this.#arrayHeader();
    this.records = 0;
    for (let left = this.ranges; left > 0; left--) {
      const elements = this.#arrayHeader();
      const topicId = this.#uint();
      this.#uint();
      this.#uint();
      this.#uint();
      const records = this.#uint();
      this.records += records;
      this.#onRange?.(topicId, records);
      for (let rest = elements - 5; rest > 0; rest--) this.#skip();
    }
  }

  #arrayHeader(): number {
    const byte = this.#bytes[this.#at++] as number;
    if ((byte & 0xf0) === 0x90) return byte & 0x0f;
    if (byte === 0xdc) return this.#unsigned(2);
    if (byte === 0xdd) return this.#unsigned(4);
    throw this.#unexpected(byte);
  }

  #uint(): number {
    const byte = this.#bytes[this.#at++] as number;
    if (byte < 0x80) return byte;
    if (byte === 0xcc) return this.#unsigned(1);
    if (byte === 0xcd) return this.#unsigned(2);
    if (byte === 0xce) return this.#unsigned(4);
    if (byte === 0xcf) return this.#unsigned(4) * 0x1_0000_0000 + this.#unsigned(4);
    throw this.#unexpected(byte);
  }

  /** A number, a short string, nil or a boolean. */
  #skip(): void {
    const byte = this.#bytes[this.#at] as number;
    if ((byte & 0xe0) === 0xa0) this.#at += 1 + (byte & 0x1f);
    else if (byte === 0xc0 || byte === 0xc2 || byte === 0xc3) this.#at++;
    else this.#uint();
  }

  #unsigned(width: 1 | 2 | 4): number {
    const at = this.#at;
    this.#at = at + width;
    if (width === 1) return this.#bytes[at] as number;
    return width === 2 ? this.#bytes.readUInt16BE(at) : this.#bytes.readUInt32BE(at);
  }

  #unexpected(byte: number): Error {
    return new Error(`not an ACK frame: byte=0x${byte.toString(16)} at=${this.#at - 1}`);
  }
}
