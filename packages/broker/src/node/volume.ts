import { statfs } from "node:fs/promises";
import { BROKER_LIMITS } from "../limits.ts";

/** The file system that holds the data folder. Bytes; 0 in all = it does not say. */
export interface VolumeSpace {
  readonly totalBytes: number;
  /** What the broker may still fill. */
  readonly freeBytes: number;
}

export type MeasureVolume = (path: string) => Promise<VolumeSpace>;

/** Asks the system. Never rejects: a file system that cannot say how large it is counts as unknown. */
export async function measureVolume(path: string): Promise<VolumeSpace> {
  try {
    const { bsize, blocks, bavail } = await statfs(path);
    return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
  } catch {
    return { totalBytes: 0, freeBytes: 0 };
  }
}

/** Bytes of a journal's segments: some dozens of them must fit beside what is settled. */
export function segmentBytesFor(totalBytes: number): number {
  const { segmentBytesMin, segmentBytesMax, segmentVolumePart } = BROKER_LIMITS;
  if (totalBytes <= 0) return segmentBytesMax;
  const part = Math.min(segmentBytesMax, Math.max(segmentBytesMin, totalBytes * segmentVolumePart));
  return 2 ** Math.floor(Math.log2(part));
}

/** Bytes of one shard's reserve; a multiple of 4 KiB. */
export function reserveBytesFor(totalBytes: number, shards: number): number {
  const { reserveBytesMax, reserveVolumePart } = BROKER_LIMITS;
  if (totalBytes <= 0) return reserveBytesMax;
  const part = Math.min(reserveBytesMax, (totalBytes * reserveVolumePart) / shards);
  return Math.floor(part / 4096) * 4096;
}

/** The disk is low while fewer bytes are free; 0 = never, for want of knowing. */
export function diskLowBytesFor(totalBytes: number): number {
  return Math.min(totalBytes * BROKER_LIMITS.diskLowPart, BROKER_LIMITS.diskLowBytesMax);
}

/** Bytes that all shards together may fill unless it is configured; 0 = no bound. */
export function retentionTotalFor(totalBytes: number): number {
  return Math.floor(totalBytes * BROKER_LIMITS.retentionTotalPart);
}
