import { SEGMENT_HEADER_BYTES, segmentFileName } from "./segment-layout.ts";

/** A segment of the running epoch, from the moment that an entry is staged for it. */
export class SegmentFile {
  readonly path: string;
  readonly basePosition: number;
  readonly epoch: number;
  readonly seed: number;
  /** -1 until the first write. */
  fd = -1;
  hasHeader = false;
  /** The folder must be synced before anything in it counts as committed. */
  nameIsNew = true;
  /** Position behind what was written. */
  writtenPosition: number;
  /** Position behind the zeros that were written ahead, if it is beyond `writtenPosition`. */
  heldPosition = 0;
  openedAtMs = 0;

  constructor(directory: string, basePosition: number, epoch: number, seed: number) {
    this.path = `${directory}/${segmentFileName(basePosition, epoch)}`;
    this.basePosition = basePosition;
    this.epoch = epoch;
    this.seed = seed;
    this.writtenPosition = basePosition;
  }

  /** The file is there with its header, both durable. */
  existsDurably(): void {
    this.hasHeader = true;
    this.nameIsNew = false;
    this.writtenPosition = this.basePosition + SEGMENT_HEADER_BYTES;
  }
}
