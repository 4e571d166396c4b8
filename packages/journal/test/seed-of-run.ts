/** MILLRACE_SEED where it is set, so that a printed failure can be repeated; otherwise a new seed each run. */
export function seedOfRun(): { first: number; count: (usual: number) => number } {
  const given = process.env.MILLRACE_SEED ?? process.env.SEED ?? "";
  if (given === "") return { first: Number(process.hrtime.bigint() & 0x7fff_ffffn), count: (usual) => usual };
  const first = Number(given);
  if (!Number.isInteger(first)) throw new Error(`MILLRACE_SEED must be an integer: ${given}`);
  return { first, count: () => 1 };
}
