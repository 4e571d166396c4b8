import { readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { LIMITS } from "../limits.ts";
import type { BenchDocument } from "./bench-document.ts";
import { checkDocument } from "./check-document.ts";

/**
 * Writes a result document, readable by people too. Whoever reads the file meanwhile sees the old one or the new one.
 * @throws TypeError when a figure is not a number: JSON would make it null
 */
export function writeDocument(path: string, document: BenchDocument): void {
  const text = `${JSON.stringify(checkDocument(document), null, 2)}\n`;
  const temporary = `${path}.tmp`;
  writeFileSync(temporary, text);
  renameSync(temporary, path);
}

/** @throws Error when it cannot be read, or is no result document; the message names the file */
export function readDocument(path: string): BenchDocument {
  const { size } = statSync(path);
  if (size > LIMITS.documentBytesMax) {
    throw new RangeError(`${path} is too large: ${size} bytes, at most ${LIMITS.documentBytesMax}`);
  }
  try {
    return checkDocument(JSON.parse(readFileSync(path, "utf8")));
  } catch (error) {
    throw new Error(`${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
