// CRC-32 by folding, after Sam Russell ("Chorba: A novel CRC32 implementation", arXiv 2412.16398).
//
// A message is a polynomial, and a multiple of the CRC's own polynomial may be added to it without changing its CRC. One
// such multiple has five terms only, all at whole bytes: x^(8*300) + x^(8*155) + x^(8*117) + x^(8*89) + 1. Adding it
// wherever a byte is left clears the whole message up to its last 300 bytes, of which the CRC is then computed as usual:
//
//   cleared[p] = message[p] ^ cleared[p - 145] ^ cleared[p - 183] ^ cleared[p - 211] ^ cleared[p - 300]
//
// That is five loads, four XORs and one store for sixteen bytes at a time, in WebAssembly, since JavaScript has no such
// operations: 11 GB/s with the copy into its memory, where zlib in Node has 5 and tables have 0.4.

/** Distances of the terms from the first one. Above 64, so that four vectors can be worked on at a time. */
const TAPS: readonly number[] = [145, 183, 211, 300];
const DISTANCE_MAX = 300;
const VECTOR_BYTES = 16;
const VECTORS_A_ROUND = 4;
const ROUND_BYTES: number = VECTOR_BYTES * VECTORS_A_ROUND;

//   0             1024                    1024 + PIECE       + 1024                   + 1024
//   +-------------+-----------------------+------------------+------------------------+
//   | stays zero  | what is cleared       | zero for `fold`  | the rest of the piece  |
//   +-------------+-----------------------+------------------+------------------------+
const PIECE_BYTES = 65_536;
const PIECE_AT = 1024;
const REST_AT: number = PIECE_AT + PIECE_BYTES + 1024;
const MEMORY_PAGES = 2;

/** From here on folding is worth its fixed cost. */
export const FOLD_BYTES_MIN = 4_096;

/** CRC-32 of bytes[start, end), continued from the register `crc`; returns the register. */
export type ContinueCrc = (crc: number, bytes: Uint8Array, start: number, end: number) => number;

/**
 * A `ContinueCrc` for pieces of at least FOLD_BYTES_MIN that leaves the last bytes of each to `rest`; undefined where
 * there is no WebAssembly, or none is allowed. Not reentrant.
 */
export function createFoldingCrc(rest: ContinueCrc): ContinueCrc | undefined {
  const wasm = instantiate();
  if (wasm === undefined) return undefined;
  const { fold, memory } = wasm;
  return (crc, bytes, start, end) => {
    let register = crc;
    let at = start;
    while (end - at >= FOLD_BYTES_MIN) {
      const pieceEnd = Math.min(end, at + PIECE_BYTES);
      const cleared = pieceEnd - at - DISTANCE_MAX;
      const restAt = at + cleared - (cleared % ROUND_BYTES);
      copy(memory, PIECE_AT, bytes, at, restAt);
      copy(memory, REST_AT, bytes, restAt, pieceEnd);
      for (let i = 0; i < 4; i += 1) {
        memory[PIECE_AT + i] = (memory[PIECE_AT + i] as number) ^ (register >>> (8 * i));
      }
      const restEnd = REST_AT + pieceEnd - restAt;
      fold(PIECE_AT + restAt - at, restEnd);
      register = rest(0, memory, REST_AT, restEnd);
      at = pieceEnd;
    }
    return at < end ? rest(register, bytes, at, end) : register;
  };
}

/** `set` is slow where memory is shared and not aligned; Node's `fill` is not. */
function copy(target: Uint8Array, targetAt: number, source: Uint8Array, start: number, end: number): void {
  const piece = new Uint8Array(source.buffer, source.byteOffset + start, end - start);
  if (typeof Buffer === "function" && Buffer.isBuffer(target))
    target.fill(piece, targetAt, targetAt + end - start);
  else target.set(piece, targetAt);
}

interface Folding {
  /** Clears [PIECE_AT, end), and brings what that does to the bytes behind it into [REST_AT, restEnd). */
  fold(end: number, restEnd: number): void;
  readonly memory: Uint8Array;
}

/** What is used of the global WebAssembly, which the language's own types do not have. */
interface WebAssemblyGlobal {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
  ) => { readonly exports: Pick<Folding, "fold"> & { readonly memory: { readonly buffer: ArrayBuffer } } };
}

function instantiate(): Folding | undefined {
  const { WebAssembly } = globalThis as { readonly WebAssembly?: WebAssemblyGlobal };
  if (WebAssembly === undefined) return undefined;
  try {
    const { fold, memory } = new WebAssembly.Instance(new WebAssembly.Module(moduleBytes())).exports;
    const { buffer } = memory;
    return { fold, memory: typeof Buffer === "function" ? Buffer.from(buffer) : new Uint8Array(buffer) };
  } catch {
    // No SIMD, a content security policy, or no address space.
    return undefined;
  }
}

// The module, put together here: it is smaller than what would have to build it. Opcodes as in the WebAssembly
// specification, section 5.4.

const I32 = 0x7f;
const NO_RESULT = 0x40;
const LOOP = 0x03;
const END = 0x0b;
const BR_IF = 0x0d;
const LOCAL_GET = 0x20;
const LOCAL_SET = 0x21;
const LOCAL_TEE = 0x22;
const I32_CONST = 0x41;
const I32_LT_U = 0x49;
const I32_ADD = 0x6a;
const I32_SUB = 0x6b;
const MEMORY_FILL: readonly number[] = [0xfc, 0x0b, 0x00];
const V128_XOR: readonly number[] = [0xfd, 0x51];

// Locals of `fold`: its parameters, the place that is DISTANCE_MAX in front of what is worked on, and one more.
const END_LOCAL = 0;
const REST_END_LOCAL = 1;
const BEHIND = 2;
const LIMIT = 3;
const REST = 3;

function moduleBytes(): Uint8Array<ArrayBuffer> {
  const body = [...vector([[2, I32]]), ...foldCode()];
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, [[0x60, 2, I32, I32, 0]]),
    ...section(3, [[0]]),
    ...section(5, [[0, ...unsigned(MEMORY_PAGES)]]),
    ...section(7, [
      [...name("fold"), 0, 0],
      [...name("memory"), 2, 0],
    ]),
    ...section(10, [[...unsigned(body.length), ...body]]),
  ]);
}

function foldCode(): number[] {
  const code: number[] = [];
  code.push(...constant(PIECE_AT - DISTANCE_MAX), LOCAL_SET, BEHIND);
  code.push(LOCAL_GET, END_LOCAL, ...constant(DISTANCE_MAX), I32_SUB, LOCAL_SET, LIMIT);
  code.push(LOOP, NO_RESULT);
  for (let at = 0; at < ROUND_BYTES; at += VECTOR_BYTES) {
    code.push(LOCAL_GET, BEHIND, LOCAL_GET, BEHIND, ...load(DISTANCE_MAX + at), ...xorTaps(at));
    code.push(...store(DISTANCE_MAX + at));
  }
  code.push(LOCAL_GET, BEHIND, ...constant(ROUND_BYTES), I32_ADD, LOCAL_TEE, BEHIND);
  code.push(LOCAL_GET, LIMIT, I32_LT_U, BR_IF, 0, END);
  // Behind the end nothing is cleared: the loop over the rest reads zeros there.
  code.push(LOCAL_GET, END_LOCAL, ...constant(0), ...constant(DISTANCE_MAX + ROUND_BYTES), ...MEMORY_FILL);
  code.push(LOCAL_GET, END_LOCAL, ...constant(DISTANCE_MAX), I32_SUB, LOCAL_SET, BEHIND);
  code.push(...constant(REST_AT), LOCAL_SET, REST);
  code.push(LOOP, NO_RESULT);
  code.push(LOCAL_GET, REST, LOCAL_GET, REST, ...load(0), ...xorTaps(0), ...store(0));
  code.push(LOCAL_GET, BEHIND, ...constant(VECTOR_BYTES), I32_ADD, LOCAL_SET, BEHIND);
  code.push(LOCAL_GET, REST, ...constant(VECTOR_BYTES), I32_ADD, LOCAL_TEE, REST);
  code.push(LOCAL_GET, REST_END_LOCAL, I32_LT_U, BR_IF, 0, END);
  code.push(END);
  return code;
}

/** XORs what was cleared at each of the distances. */
function xorTaps(at: number): number[] {
  return TAPS.flatMap((tap) => [LOCAL_GET, BEHIND, ...load(DISTANCE_MAX - tap + at), ...V128_XOR]);
}

function load(offset: number): number[] {
  return [0xfd, 0x00, 0, ...unsigned(offset)];
}

function store(offset: number): number[] {
  return [0xfd, 0x0b, 0, ...unsigned(offset)];
}

function constant(value: number): number[] {
  return [I32_CONST, ...signed(value)];
}

function section(id: number, entries: readonly number[][]): number[] {
  const content = vector(entries);
  return [id, ...unsigned(content.length), ...content];
}

function vector(entries: readonly number[][]): number[] {
  return [...unsigned(entries.length), ...entries.flat()];
}

function name(text: string): number[] {
  return [text.length, ...Array.from(text, (char) => char.charCodeAt(0))];
}

/** LEB128. */
function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

/** LEB128 of a number that is not negative: bit 6 of the last byte would be its sign. */
function signed(value: number): number[] {
  return value < 0x40 ? [value] : [(value & 0x7f) | 0x80, ...signed(value >>> 7)];
}
