/**
 * Seeds of one stress test: one by default, as many as fit into the time where MILLRACE_STRESS_SECONDS is set, as the nightly lane
 * does. Print the seed of a failure; MILLRACE_SEED starts with it.
 *
 * @param share how many tests divide the time among them.
 */
export function* stressRuns(seed: number, share: number): Generator<number> {
  const seconds = Number(process.env.MILLRACE_STRESS_SECONDS ?? 0);
  if (!(seconds >= 0)) throw new Error(`MILLRACE_STRESS_SECONDS must be a number: ${seconds}`);
  const endMs = performance.now() + (seconds * 1000) / share;
  let next = seed;
  do yield next++;
  while (performance.now() < endMs);
}
