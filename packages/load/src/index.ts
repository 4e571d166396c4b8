export type {
  BenchDocument,
  LatencyResult,
  LoadKind,
  Repetition,
  ResultRow,
  Verdict,
} from "./document/bench-document.ts";
export { checkDocument } from "./document/check-document.ts";
export { readDocument, writeDocument } from "./document/document-file.ts";
export type {
  ConsumeMode,
  Consumer,
  ConsumerEvents,
  Driver,
  DriverSettings,
  Durability,
  Publisher,
  PublisherEvents,
  Requester,
  Responder,
} from "./driver/driver.ts";
export { MILLRACE_DRIVER } from "./driver/known-drivers.ts";
export type { MillraceOptions } from "./driver/millrace-options.ts";
export type { Fleet, FleetKind, Generator } from "./fleet/fleet.ts";
export { openFleet } from "./fleet/open-fleet.ts";
export type {
  LatenessResult,
  LoadProgress,
  LoadResult,
  LoadRole,
  LoadSchedule,
  LoadTask,
  PaceWaiting,
} from "./generator/load-task.ts";
export { shareTask } from "./generator/share-task.ts";
export type { Disturbance, MeasuredProcess } from "./measure/cpu-accounting.ts";
export { describeMachine, type Machine } from "./measure/machine.ts";
export { type Spread, spreadOf } from "./measure/statistics.ts";
export type { RepetitionPlan, RunProgress } from "./run/repetition-plan.ts";
export { runRepetition, runRepetitions } from "./run/run-repetition.ts";
