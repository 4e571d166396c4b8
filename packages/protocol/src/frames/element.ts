import type { FrameReader } from "../frame-reader.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { LIMITS } from "../limits.ts";

// Shapes that several frames have in common.

export function writeStrings(writer: FrameWriter, strings: readonly string[]): void {
  writer.arrayHeader(strings.length);
  for (const text of strings) writer.str(text);
}

export function readStrings(reader: FrameReader, lengthMax: number): string[] {
  const strings: string[] = [];
  for (let left = reader.arrayHeader(lengthMax); left > 0; left -= 1) strings.push(reader.str());
  return strings;
}

/** Numbers of partitions; nil = all of a topic, undefined here. */
export function writePartitions(writer: FrameWriter, partitions: readonly number[] | undefined): void {
  if (partitions === undefined) {
    writer.nil();
    return;
  }
  writer.arrayHeader(partitions.length);
  for (const partition of partitions) writer.uint(partition);
}

export function readPartitions(reader: FrameReader): number[] | undefined {
  if (reader.nil()) return undefined;
  const partitions: number[] = [];
  for (let left = reader.arrayHeader(LIMITS.partitionsMax); left > 0; left -= 1)
    partitions.push(reader.uint());
  return partitions;
}

/** The header of a row: its number of elements, at least `atLeast`. */
export function readRow(reader: FrameReader, atLeast: number): number {
  const elements = reader.arrayHeader();
  if (elements < atLeast) reader.malformed(`a row of ${atLeast} elements is needed, found ${elements}`);
  return elements;
}

/** Passes what a newer peer added to a row. */
export function skipRest(reader: FrameReader, elements: number, known: number): void {
  for (let i = known; i < elements; i += 1) reader.skip();
}
