/**
 * Counts the WebSocket frames of a server's byte stream and looks at nothing else: what a subscriber of
 * the relay does, where every frame is a batch of records.
 */
export class FrameCounter {
  frames = 0;
  #headBytes = 0;
  readonly #head: Buffer = Buffer.alloc(10);
  #skip = 0;

  readonly push = (chunk: Buffer, length: number): void => {
    let at = 0;
    while (at < length) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, length - at);
        this.#skip -= skipped;
        at += skipped;
        if (this.#skip === 0) this.frames++;
        continue;
      }
      // Byte by byte: ten bytes a frame at most, and a frame is thousands.
      this.#head[this.#headBytes++] = chunk[at++] as number;
      this.#beginPayload();
    }
  };

  #beginPayload(): void {
    if (this.#headBytes < 2) return;
    const short = this.#head[1] as number;
    if (short === 126) {
      if (this.#headBytes < 4) return;
      this.#skip = this.#head.readUInt16BE(2);
    } else if (short === 127) {
      if (this.#headBytes < 10) return;
      this.#skip = this.#head.readUInt32BE(2) * 0x1_0000_0000 + this.#head.readUInt32BE(6);
    } else {
      this.#skip = short;
    }
    this.#headBytes = 0;
    if (this.#skip === 0) this.frames++;
  }
}
