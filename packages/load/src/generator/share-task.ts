import type { LoadTask } from "./load-task.ts";

/**
 * The task shared out to so many generators, or to one for each connection where there are fewer: connections and rate as
 * evenly as they go. Their keys are the same.
 */
export function shareTask(task: LoadTask, generators: number): LoadTask[] {
  const count = Math.max(1, Math.min(generators, task.connections));
  return Array.from({ length: count }, (_, index) => {
    const connections =
      Math.floor(((index + 1) * task.connections) / count) - Math.floor((index * task.connections) / count);
    const rate = task.recordsPerSecond;
    const recordsPerSecond = rate === null ? null : (rate * connections) / task.connections;
    return { ...task, connections, recordsPerSecond };
  });
}
