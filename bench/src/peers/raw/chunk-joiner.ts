/**
 * Puts what a parser could not use at the end of one chunk before the next one. The parser takes whole elements, so what
 * is left is at most one of them.
 */
export class ChunkJoiner {
  #rest: Buffer | undefined;

  /** `parse` gets bytes [0, length) and returns how many of them it has used. */
  push(chunk: Buffer, length: number, parse: (bytes: Buffer, length: number) => number): void {
    let bytes = chunk;
    let end = length;
    if (this.#rest !== undefined) {
      bytes = Buffer.concat([this.#rest, chunk.subarray(0, length)]);
      end = bytes.length;
    }
    const used = parse(bytes, end);
    // A copy: the socket reads into the same buffer again.
    this.#rest = used === end ? undefined : Buffer.from(bytes.subarray(used, end));
  }
}
