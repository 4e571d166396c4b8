import type { Client } from "@millrace/client";
import type { SeededRandom } from "../seeded-random.ts";
import type { HistoryWriter } from "./history-file.ts";

/** What a role is given to work with. */
export interface RoleContext {
  readonly client: Client;
  readonly history: HistoryWriter;
  readonly random: SeededRandom;
}

/** One role of a load while it runs. */
export interface LoadRole {
  /** Publishers begin nothing new and wait for what is under way, followers for the end of the log; others go on. */
  settle(): Promise<void>;
  /** From now on it does its best: nothing is nacked or released. */
  tame(): void;
  /** Ends it. */
  stop(): Promise<void>;
}
