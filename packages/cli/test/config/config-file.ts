import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import type { CommandError } from "../../src/command-error.ts";
import { type Configuration, loadConfiguration } from "../../src/config/configuration.ts";

/** A folder that is gone when the test is. */
export function testFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), "millrace-config-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A file of that content; gives its path. */
export function configFile(t: Test, content: string | Uint8Array): string {
  const file = join(testFolder(t), "millrace.yaml");
  writeFileSync(file, content);
  return file;
}

/** Loads what stands in a file, and nothing else. */
export function loadFile(file: string): Configuration {
  return loadConfiguration({ flags: {}, env: {}, file });
}

/** What is wrong with a file: code, and a line for each thing, the file's name left out. */
export function refusal(file: string): { readonly code: string; readonly lines: readonly string[] } {
  try {
    loadFile(file);
  } catch (error) {
    const { code, lines } = error as CommandError;
    return { code, lines: lines.map((line) => line.replaceAll(file, "F")) };
  }
  throw new Error("it was taken");
}
