import { join } from "node:path";

/** What a fake node does wrong. */
export interface FakeFaults {
  readonly exitAtStart?: boolean;
  /** The code that it gives as its reason. */
  readonly failAtStart?: string;
  readonly ignoreClose?: boolean;
  readonly ignoreDrain?: boolean;
  /** It closes its shards when it is to end, and goes on. */
  readonly endSlowly?: boolean;
  /** Codes, by shard. */
  readonly failOpen?: Readonly<Record<string, string>>;
}

export function faultsPath(dataDir: string): string {
  return join(dataDir, "faults.json");
}

export function historyPath(dataDir: string): string {
  return join(dataDir, "history.txt");
}

export function ownerPath(dataDir: string, shardId: number): string {
  return join(dataDir, `owner-${shardId}.json`);
}
