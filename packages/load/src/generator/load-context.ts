import type { Driver } from "../driver/driver.ts";
import type { LoadMeter } from "./load-meter.ts";
import type { LoadTask } from "./load-task.ts";

/** What the work of every role is given. */
export interface LoadContext {
  readonly task: LoadTask;
  readonly driver: Driver;
  readonly meter: LoadMeter;
  /** Ends the generator with this error. */
  readonly failed: (error: unknown) => void;
}
