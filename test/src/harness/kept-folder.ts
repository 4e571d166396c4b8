import { cpSync } from "node:fs";
import { join } from "node:path";
import type { Test } from "tap";
import { BrokerProcess } from "./broker-process.ts";
import { connectedClient } from "./connected-client.ts";
import { findInSegments } from "./journal-files.ts";
import type { CommandResult } from "./millrace-command.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import { recordValue } from "./test-records.ts";

/** The only shard of the folder. */
export const KEPT_SHARD = 0;
export const KEPT_TOPIC = "kept";
export const KEPT_RECORDS = 30;
/** In front of a record's value: the entry's header, the batch's head, and the record's own. */
export const ENVELOPE_BYTES: number = 88 + 20 + 10;

/** A line of `--json`. */
export type JsonLine = Readonly<Record<string, unknown>>;

export function keptValue(sequence: number): Buffer {
  return recordValue("doctor", sequence, 2_000);
}

/** A data folder with KEPT_RECORDS records, a batch each, by two brokers; the second one was killed. */
export async function makeKeptFolder(t: Test): Promise<string> {
  const dataDir = join(temporaryFolder(t), "data");
  const half = KEPT_RECORDS / 2;
  for (const [from, to] of [
    [0, half],
    [half, KEPT_RECORDS],
  ] as const) {
    const broker = await BrokerProcess.start(t, { dataDir, args: ["--shards", "1"] });
    const client = await connectedClient(t, broker.url);
    if (from === 0) await client.topics.create(KEPT_TOPIC);
    const producer = client.producer(KEPT_TOPIC, { lingerMs: 0 });
    for (let i = from; i < to; i += 1) await producer.send({ value: keptValue(i) });
    await client.close();
    await broker[from === 0 ? "stop" : "kill"]();
  }
  return dataDir;
}

export function copyOfFolder(t: Test, dataDir: string): string {
  const copy = join(temporaryFolder(t), "data");
  // The lock's socket cannot be copied, and says nothing about the copy.
  cpSync(dataDir, copy, { recursive: true, filter: (path) => !path.endsWith(".sock") });
  return copy;
}

/** Where the value of a record stands: path, name from the data folder, byte. */
export function placeOfValue(dataDir: string, sequence: number): { path: string; name: string; at: number } {
  const found = findInSegments(dataDir, KEPT_SHARD, keptValue(sequence));
  if (found === undefined) throw new Error("the record is in no segment");
  return { path: found.file.path, name: `shards/0000/${found.file.name}`, at: found.at };
}

export function jsonLines({ stdout }: CommandResult): JsonLine[] {
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as JsonLine);
}
