export {
  busyThreadsBetween,
  type CpuSnapshot,
  cpuBetween,
  type Disturbance,
  disturbanceBetween,
  type MeasuredProcess,
  plainProcess,
  snapshotCpu,
  type ThreadUsage,
} from "./measure/cpu-accounting.ts";
export { LatencyRecorder, type LatencySummary, mergeLatencies } from "./measure/latency.ts";
export { describeMachine, type Machine } from "./measure/machine.ts";
export { ResidentMemoryWatch, type ResidentSample, residentBytes } from "./measure/resident-memory.ts";
export { type Spread, spreadOf } from "./measure/statistics.ts";
export { delay, monotonicMs } from "./measure/system-clock.ts";
export { readThreadNames, THREAD_NAMES_MODULE, THREAD_NAMES_VARIABLE } from "./measure/thread-naming.ts";
export { threeDigits } from "./measure/three-digits.ts";
export { type CommandTable, reportFailure, serveCommands } from "./processes/child-commands.ts";
export { ChildProcesses, type CommandedChild } from "./processes/child-processes.ts";
