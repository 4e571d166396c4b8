import { ENTRY_CHECK } from "../entry/entry-check.ts";
import { alignEntry, ENTRY_LENGTH_WORD } from "../entry/entry-layout.ts";
import { decodeSidecarHeader, SIDECAR_HEADER_BYTES } from "../lookup/sidecar-layout.ts";
import { SegmentWindow } from "../segment/segment-window.ts";
import {
  decodeSettledTrailer,
  encodeSettledTrailer,
  parseSettledFileName,
  SETTLED_HEADER_BYTES,
  SETTLED_TRAILER_BYTES,
} from "../settled/settled-layout.ts";
import { readFully, type Storage, writeFully } from "../storage/storage.ts";
import { type Hole, walkEntries } from "./damage-walk.ts";
import { erasedEntry } from "./entry-repair.ts";
import type { RepairStep } from "./finding.ts";
import { IndexBuilder } from "./index-builder.ts";
import { identifySettled, settledHeaderOf } from "./settled-identity.ts";
import { WINDOW_BYTES } from "./verify-limits.ts";

type RebuildStep = Extract<RepairStep, { kind: "rebuild-settled" }>;

/** Writes a settled file anew, from the good entries of the one at the step's path. */
export function rebuildSettled(storage: Storage, step: RebuildStep, target: number): void {
  const source = storage.open(step.path, "read");
  try {
    new SettledRebuild(storage, step, source, target).run();
  } finally {
    storage.close(source);
  }
}

class SettledRebuild {
  private readonly storage: Storage;
  private readonly step: RebuildStep;
  private readonly source: number;
  private readonly target: number;
  private readonly window: SegmentWindow;
  private readonly index: IndexBuilder = new IndexBuilder();
  private written: number = SETTLED_HEADER_BYTES;

  constructor(storage: Storage, step: RebuildStep, source: number, target: number) {
    this.storage = storage;
    this.step = step;
    this.source = source;
    this.target = target;
    this.window = new SegmentWindow(storage, WINDOW_BYTES);
    this.window.attach(source);
  }

  run(): void {
    const { storage, step, target, window } = this;
    const { path, shardId, journalId } = step;
    const name = parseSettledFileName(path.slice(path.search(/[^/\\]*$/)));
    if (name === undefined) throw new Error(`not the name of a settled file: ${path}`);
    const identity = identifySettled(window, path, name, shardId, journalId);
    if (identity === undefined) throw new Error(`nothing says what the file is: ${path}`);
    const trailer = this.trailer();
    walkEntries(
      window,
      {
        path,
        from: SETTLED_HEADER_BYTES,
        limit: trailer?.footerAt ?? Number.POSITIVE_INFINITY,
        seed: identity.seed,
        epoch: identity.segmentEpoch,
        firstSequence: undefined,
        isConsecutive: false,
        check: ENTRY_CHECK,
      },
      {
        entry: (words, bytes, index) => {
          const length = words[(index >> 2) + ENTRY_LENGTH_WORD] as number;
          this.append(bytes.subarray(index, index + length));
        },
        hole: (hole) => this.appendMended(hole, identity.seed),
      },
    );
    const footerAt = this.written;
    const stated = identity.endPosition ?? step.endPosition ?? this.endFromIndex(trailer?.footerAt);
    const endPosition = stated ?? name.basePosition + footerAt;
    const epoch = identity.segmentEpoch ?? name.epoch;
    const { basePosition } = name;
    this.write(this.index.encode({ shardId, epoch, basePosition, endPosition }));
    this.write(encodeSettledTrailer({ footerAt, footerLength: this.written - footerAt }));
    const header = settledHeaderOf(identity, name, shardId, endPosition);
    writeFully(storage, target, header, 0, header.length, 0);
  }

  /** A header that could be put right, or a batch whose payload is lost; nothing where nobody knows what stood there. */
  private appendMended({ isCorrected, header, headerBytes, start, reason }: Hole, seed: number): void {
    if (header === undefined || headerBytes === undefined || reason === "bytes behind the entry") return;
    if (!isCorrected) {
      const erased = erasedEntry(header, headerBytes, seed);
      if (erased !== undefined) this.append(erased);
      return;
    }
    const index = this.window.load(start, header.length);
    const entry = Buffer.from(this.window.bytes.subarray(index, index + header.length));
    entry.set(headerBytes);
    this.append(entry);
  }

  private append(entry: Uint8Array): void {
    const bytes = Buffer.from(new ArrayBuffer(alignEntry(entry.length)));
    bytes.set(entry);
    this.index.add(new Int32Array(bytes.buffer), 0, this.written);
    this.write(bytes);
  }

  private write(bytes: Uint8Array): void {
    writeFully(this.storage, this.target, bytes, 0, bytes.length, this.written);
    this.written += bytes.length;
  }

  private trailer(): ReturnType<typeof decodeSettledTrailer> {
    const bytes = this.read(this.storage.size(this.source) - SETTLED_TRAILER_BYTES, SETTLED_TRAILER_BYTES);
    return bytes === undefined ? undefined : decodeSettledTrailer(bytes);
  }

  private endFromIndex(footerAt: number | undefined): number | undefined {
    const bytes = footerAt === undefined ? undefined : this.read(footerAt, SIDECAR_HEADER_BYTES);
    return bytes === undefined ? undefined : decodeSidecarHeader(new Int32Array(bytes.buffer))?.endPosition;
  }

  private read(at: number, length: number): Uint8Array | undefined {
    const bytes = new Uint8Array(length);
    if (at < 0 || readFully(this.storage, this.source, bytes, 0, length, at) < length) return undefined;
    return bytes;
  }
}
