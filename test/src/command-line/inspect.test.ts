import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { checkpointsOf, flipBit, shardFolder } from "../harness/journal-files.ts";
import {
  copyOfFolder,
  type JsonLine,
  jsonLines,
  KEPT_SHARD,
  KEPT_TOPIC,
  keptValue,
  makeKeptFolder,
  placeOfValue,
} from "../harness/kept-folder.ts";
import { type CommandResult, runCommand } from "../harness/millrace-command.ts";

const made = await makeKeptFolder(t);

t.test("inspect", async (t) => {
  const dataDir = copyOfFolder(t, made);
  const { path, at } = placeOfValue(dataDir, 20);
  const lines = async (file: string, ...options: string[]): Promise<JsonLine[]> =>
    jsonLines(await runCommand(t, ["inspect", file, "--json", ...options]));
  const [header, ...entries] = await lines(path, "--records");
  t.match(header, { kind: "header", position: 0, file: "segment", version: 1, shardId: 0 });
  const record = entries.find(({ kind, offset }) => kind === "record" && offset === 20);
  t.match(record, { partition: 0, key: null, headers: {}, valueBase64: keptValue(20).toString("base64") });
  t.match(
    entries.find(({ position }) => position === record?.position),
    { kind: "entry", type: "batch", baseOffset: 20, count: 1, checksum: "ok" },
  );
  flipBit(path, at + 100);
  const damaged = await lines(path);
  t.match(
    damaged.filter(({ kind }) => kind === "damage"),
    [{ position: record?.position, sentence: /offsets 20 to 20/ }],
  );
  t.ok(
    damaged.some(({ baseOffset }) => baseOffset === 21),
    "what is behind it is shown",
  );
  t.equal((await lines(path, "--limit", "2")).filter(({ kind }) => kind === "entry").length, 2);

  const text = (file: string): Promise<CommandResult> => runCommand(t, ["inspect", file]);
  t.match((await text(path)).stdout, /^ +0 {2}header file=segment .*\n +64 {2}batch topic=/);
  t.match(
    (await text(join(shardFolder(dataDir, KEPT_SHARD), "fence"))).stdout,
    /file=fence size=32 shardId=0 epoch=2 /,
  );
  const checkpoint = await lines(checkpointsOf(dataDir, KEPT_SHARD)[0]?.path as string);
  t.match(checkpoint[0], { file: "checkpoint", clean: true });
  t.ok(checkpoint.some(({ kind, name }) => kind === "topic" && name === KEPT_TOPIC));
  t.match((await text(join(dataDir, "millrace.json"))).stdout, /"shards":1/);
  const rubbish = join(dataDir, "rubbish");
  for (const content of [
    Buffer.alloc(0),
    Buffer.alloc(5_000, 0xee),
    Buffer.from("MRSEGMT1"),
    Buffer.from("MRCHKPT1".repeat(20)),
  ]) {
    writeFileSync(rubbish, content);
    t.match(await text(rubbish), { code: 0, stderr: "" });
  }
  t.match(await text(join(dataDir, "absent")), { code: 1, stderr: /^error INPUT_FAILED: ENOENT/ });
});
