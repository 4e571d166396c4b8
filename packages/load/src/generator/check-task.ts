import { LIMITS, STAMP_BYTES } from "../limits.ts";
import type { LoadTask } from "./load-task.ts";

/** @throws RangeError naming the first thing that a generator cannot do */
export function checkTask(task: LoadTask): void {
  const { settings } = task;
  within("connections", task.connections, 1, LIMITS.connectionsMax);
  within("valueBytes", settings.valueBytes, 0, LIMITS.valueBytesMax);
  within("partitions", settings.partitions, 1, Number.MAX_SAFE_INTEGER);
  within("keys", task.keys, 0, LIMITS.keysMax);
  within("burst", task.burst, 1, LIMITS.burstMax);
  within("inFlightMax", task.inFlightMax, 1, LIMITS.inFlightMax);
  if (task.recordsMax !== undefined) within("recordsMax", task.recordsMax, 1, Number.MAX_SAFE_INTEGER);
  const rate = task.recordsPerSecond;
  if (rate !== null && !(rate > 0 && rate <= LIMITS.recordsPerSecondMax)) {
    throw new RangeError(`recordsPerSecond must be within 0..${LIMITS.recordsPerSecondMax}: got ${rate}`);
  }
  if (settings.stamped && settings.valueBytes < STAMP_BYTES) {
    const needed = `a stamped value needs at least ${STAMP_BYTES} bytes`;
    throw new RangeError(`${needed}: valueBytes=${settings.valueBytes}`);
  }
}

function within(name: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new RangeError(`${name} must be an integer within ${min}..${max}: got ${value}`);
}
