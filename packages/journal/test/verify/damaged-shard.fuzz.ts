import t from "tap";
import { type Finding, SeededRandom, type SimulatedStorage } from "../../src/internal.ts";
import { seedOfRun } from "../seed-of-run.ts";
import { DIRECTORY, examine, makeShard, readRecords, repair, start } from "./damaged-shard.ts";

const { first: seed } = seedOfRun();
const FLIPS_A_FILE = Number(process.env.MILLRACE_FLIPS ?? 12);
const ROUNDS_MAX = 4;

const made = makeShard(seed);
const before = readRecords(made.storage);
/** A claim is empty: its name is all there is. */
const files = made.storage
  .contents()
  .filter(({ path, size }) => path.startsWith(`${DIRECTORY}/`) && size > 0);

/** Kinds of files, so that each is damaged as often as the others. */
function kindOf(path: string): string {
  return /\.(\w+)$/.exec(path)?.[1] ?? path.replace(/-\d+$/, "").slice(DIRECTORY.length + 1);
}

/** Where the flip may be found: in an entry the position is that of its header or index row. */
function isApt({ file, position }: Finding, path: string, at: number): boolean {
  return file === path && position <= at + 8;
}

function describe(findings: readonly Finding[]): string {
  return findings
    .map(({ severity, code, file, position, sentence, repair: mend }) =>
      [severity, code, file.slice(DIRECTORY.length + 1), position, sentence, mend?.does ?? "no repair"].join(
        " | ",
      ),
    )
    .join("\n");
}

/** Repairs until nothing is left that can be repaired. */
function repairAll(storage: SimulatedStorage): Finding[] {
  let findings = examine(storage);
  for (
    let round = 0;
    round < ROUNDS_MAX && findings.some(({ repair: mend }) => mend !== undefined);
    round++
  ) {
    repair(storage, findings);
    findings = examine(storage);
  }
  return findings;
}

t.comment(`MILLRACE_SEED=${seed}`);

t.test("there is something of everything", async (t) => {
  t.same(examine(made.storage), [], "and a doctor finds nothing");
  t.same([...new Set(files.map(({ path }) => kindOf(path)))].sort(), [
    "ckpt",
    "fence",
    "idx",
    "log",
    "manifest",
    "settled",
  ]);
  const records = [...made.records].flatMap(([key, values]) =>
    values.map((value, i) => [`${key}/${i}`, value]),
  );
  t.same([...before].sort(), records.sort());
});

for (const kind of new Set(files.map(({ path }) => kindOf(path)))) {
  t.test(`a flipped bit in a file of kind ${kind}`, async (t) => {
    const random = new SeededRandom(seed + kind.length);
    const candidates = files.filter(({ path }) => kindOf(path) === kind);
    let repaired = 0;
    for (let i = 0; i < FLIPS_A_FILE * 2; i++) {
      const { path, size } = random.pick(candidates);
      const at = random.below(size);
      const storage = made.storage.clone(random);
      storage.flipBit(path, at, random.below(8));
      const title = `${path.slice(DIRECTORY.length + 1)} byte ${at} of ${size}`;
      const findings = examine(storage);
      if (!findings.some((finding) => isApt(finding, path, at))) t.fail(`${title}\n${describe(findings)}`);
      const others = findings.filter(({ file }) => file !== path);
      if (others.length > 0) t.fail(`${title}: other files are blamed\n${describe(others)}`);
      const left = repairAll(storage);
      if (left.length > 0) {
        if (left.some(({ repair: mend }) => mend !== undefined))
          t.fail(`${title}: never ends\n${describe(left)}`);
        t.comment(`${title}: not repairable\n${describe(left)}`);
        continue;
      }
      repaired++;
      const after = readRecords(storage);
      const lost = [...before].filter(([key, value]) => after.get(key) !== value).map(([key]) => key);
      const blamed = findings.map(({ repair: mend }) => mend?.does).join();
      // A batch has three records at most.
      if (lost.length > 3) t.fail(`${title}: ${lost.length} records are lost (${blamed}): ${lost.join(" ")}`);
      if ([...after].some(([key, value]) => value !== null && before.get(key) !== value))
        t.fail(`${title}: invented`);
      try {
        start(storage);
      } catch (error) {
        t.fail(`${title}: a start refuses: ${(error as Error).message}`);
      }
    }
    t.ok(repaired > 0, `${repaired} repaired`);
  });
}
