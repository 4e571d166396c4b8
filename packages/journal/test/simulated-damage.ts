import { MillraceError } from "@millrace/protocol";
import type { SeededRandom, SimulatedStorage } from "../src/internal.ts";
import {
  checkPrefix,
  checkState,
  compareReads,
  expect,
  type ModelEntry,
  readPartition,
} from "./journal-model.ts";
import { ModelState } from "./model-state.ts";
import { DIRECTORY, fieldsOf, type OpenedJournal, type OpenWorld, openJournal } from "./simulated-world.ts";
import { retained } from "./simulation-checks.ts";

/** What became of a flipped bit: nothing at all, or damage that was told of. */
export type FlipOutcome = "not tried" | "harmless" | "told";

/** Flips one bit on a copy of a machine at rest and looks what becomes of it. */
export function flipOnCopy(
  world: OpenWorld,
  model: readonly ModelEntry[],
  random: SeededRandom,
): FlipOutcome {
  const storage = world.storage.clone(random);
  const files = storage
    .contents()
    .filter(({ path, size }) => path.startsWith(`${DIRECTORY}/`) && !path.endsWith(".tmp") && size > 0);
  if (files.length === 0) return "not tried";
  const { path: name, size } = pickFile(files, random);
  // An adopted segment and its settled file are two names of one file: it is looked at as what it was first.
  const alias = files.find((file) => file.size === size && isOtherName(file.path, name));
  const path = alias?.path ?? name;
  const at = random.below(size);
  // A copy without the flip says what would be there.
  const intact = openIntact({ ...world, storage: world.storage.clone(random) });
  if (intact === undefined) return "not tried";
  storage.flipBit(path, at, random.below(8));
  return lookAt({ ...world, storage }, model, random, { path, at, intact });
}

interface StoredFile {
  readonly path: string;
  readonly size: number;
}

/** Mostly what holds entries; and the newest checkpoint, without which the one before must do. */
function pickFile(files: readonly StoredFile[], random: SeededRandom): StoredFile {
  const checkpoints = files.filter(({ path }) => path.endsWith(".ckpt"));
  const newest = checkpoints.sort((a, b) => (a.path < b.path ? -1 : 1)).at(-1);
  if (newest !== undefined && random.chance(0.2)) return newest;
  const kind = random.pick([/\.(log|settled)$/, /\.(log|settled)$/, /\.ckpt$|manifest-/, /./]);
  const some = files.filter(({ path }) => kind.test(path));
  return random.pick(some.length > 0 ? some : files);
}

interface Flip {
  readonly path: string;
  readonly at: number;
  /** Entries that are there without it. */
  readonly intact: number;
}

function lookAt(
  world: OpenWorld,
  model: readonly ModelEntry[],
  random: SeededRandom,
  flip: Flip,
): FlipOutcome {
  const { path, at } = flip;
  let opened: OpenedJournal;
  try {
    opened = openJournal(world);
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error;
    if (error.code === "JOURNAL_QUARANTINED") return "not tried";
    expect(error.code === "JOURNAL_DAMAGED", () => `flip in ${path} at ${at}: ${error.message}`);
    const { file, position } = error.details;
    expect(
      typeof file === "string" && typeof position === "number",
      () => `damage without a place: ${error.message}`,
    );
    expect(file === path, () => `flip in ${path} at ${at}, reported as ${error.message}`);
    return "told";
  }
  const { recorder, journal } = opened;
  const isJournal = path.endsWith(".log");
  const from = checkState(recorder.state, model);
  checkPrefix(recorder.entries, model, from);
  const kept = model.slice(0, from + recorder.entries.length);
  const whole = model.slice(0, flip.intact);
  if (kept.length < whole.length) {
    // Less was recovered. That may be only if nothing on the disk shows that the place was durable.
    const lost = whole[kept.length] as ModelEntry;
    const position = isJournal ? Number(path.slice(-29, -13)) + at : -1;
    expect(
      isJournal && position < lost.end + 64 && journal.stagedPosition >= (kept.at(-1)?.end ?? 0),
      () => `flip at position ${position} lost entry ${lost.position} of ${path}`,
    );
    const proof = whole.find((entry) => fieldsOf(entry.bytes).syncedPosition > lost.position);
    expect(
      proof === undefined,
      () =>
        `flip at ${position} was taken for a torn tail, but entry ${proof?.position} proves it was durable`,
    );
    return "harmless";
  }
  let outcome: FlipOutcome = "harmless";
  for (const { topicId, partition, logStart } of ModelState.at(kept, journal.stagedPosition).partitions()) {
    const got = readPartition(opened, { topicId, partition }, logStart, random);
    if (got !== undefined) {
      compareReads(got, retained(kept, { topicId, partition }, logStart));
    } else {
      expect(/\.(log|settled)$/.test(path), () => `flip in ${path} at ${at} is damage for the reader`);
      outcome = "told";
    }
  }
  return outcome;
}

/** Whether a segment has the base position of a settled file. */
function isOtherName(log: string, settled: string): boolean {
  const base = DIRECTORY.length + 17;
  return (
    log.endsWith(".log") && settled.endsWith(".settled") && log.slice(0, base) === settled.slice(0, base)
  );
}

/** How many entries a copy recovers that nobody damaged; undefined when it is quarantined. */
function openIntact(world: OpenWorld & { readonly storage: SimulatedStorage }): number | undefined {
  try {
    const { recorder } = openJournal(world);
    const state = recorder.state;
    const from = state === undefined ? 0 : Number(Buffer.from(state).readBigUInt64BE(0));
    return from + recorder.entries.length;
  } catch (error) {
    if (error instanceof MillraceError && error.code === "JOURNAL_QUARANTINED") return undefined;
    throw error;
  }
}
