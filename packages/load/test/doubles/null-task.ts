import type { DriverSettings, LoadTask } from "../../src/index.ts";
import type { NullOptions } from "./null-driver.ts";

export const NULL_DRIVER: string = new URL("./null-driver.js", import.meta.url).href;

/** A task for the null driver: 1,000 records a second over one connection, unless said otherwise. */
export function nullTask(
  changes: Partial<LoadTask> = {},
  settings: Partial<DriverSettings> = {},
  options: NullOptions = {},
): LoadTask {
  return {
    driver: NULL_DRIVER,
    role: "publish",
    connections: 1,
    recordsPerSecond: 1000,
    keys: 0,
    burst: 1,
    inFlightMax: 10_000,
    ...changes,
    settings: {
      endpoint: {},
      target: "target",
      partitions: 1,
      durability: "memory",
      valueBytes: 32,
      batchBytes: 0,
      lingerMs: 0,
      stamped: true,
      mode: "live",
      from: "latest",
      subscription: "",
      slots: 1,
      options: { ...options },
      ...settings,
    },
  };
}
