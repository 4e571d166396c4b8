import type { Fleet, FleetKind } from "./fleet.ts";
import { ProcessFleet } from "./process-fleet.ts";
import { ThreadFleet } from "./thread-fleet.ts";

/** A fleet without generators yet. `close()` ends what it has started. */
export function openFleet(kind: FleetKind): Fleet {
  return kind === "processes" ? new ProcessFleet() : new ThreadFleet();
}
