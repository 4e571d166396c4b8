import type { RestorePoint } from "@millrace/protocol";
import t from "tap";
import { resumeOffset } from "../src/resume-offset.ts";
import { storedBatch } from "./support/batches.ts";
import { InMemoryGateway } from "./support/in-memory.ts";

const JUMP = 2 ** 30;
const MONDAY = 100;
const TUESDAY = 200;
const HIGH = 2 ** 40;
/** Restores of a backup of Monday, twice, and of one of Tuesday. */
const FIRST: RestorePoint = [5_000, MONDAY];
const SECOND: RestorePoint = [6_000, MONDAY];
const THIRD: RestorePoint = [7_000, TUESDAY];

const cases: [
  what: string,
  at: { offset: number; logEpoch: number; restores?: readonly RestorePoint[] },
  log: { logEpoch: number; restores?: readonly RestorePoint[]; highWatermark?: number },
  expected: number,
][] = [
  ["an unclean stop", { offset: 150, logEpoch: 0 }, { logEpoch: 1 }, 150],
  ["of a log that was shorter", { offset: 150, logEpoch: 0 }, { logEpoch: 1, highWatermark: 120 }, 120],
  [
    "before the backup, to its restore",
    { offset: 90, logEpoch: 0 },
    { logEpoch: 5_000, restores: [FIRST] },
    90,
  ],
  [
    "behind the backup, to its restore",
    { offset: 190, logEpoch: 3 },
    { logEpoch: 5_000, restores: [FIRST] },
    MONDAY,
  ],
  [
    "from one restore to another of the same backup",
    { offset: JUMP + MONDAY + 5, logEpoch: 5_000, restores: [FIRST] },
    { logEpoch: 6_000, restores: [SECOND] },
    MONDAY,
  ],
  [
    "and back to the one of before",
    { offset: JUMP + MONDAY + 5, logEpoch: 6_000, restores: [SECOND] },
    { logEpoch: 5_000, restores: [FIRST] },
    MONDAY,
  ],
  [
    "from a restore of Monday to one of Tuesday, which has records that were not seen",
    { offset: JUMP + MONDAY + 5, logEpoch: 5_000, restores: [FIRST] },
    { logEpoch: 7_000, restores: [THIRD] },
    MONDAY,
  ],
  [
    "from a restore to the log that the backup was of",
    { offset: JUMP + MONDAY + 5, logEpoch: 5_000, restores: [FIRST] },
    { logEpoch: 0, highWatermark: 300 },
    MONDAY,
  ],
  [
    "to the restore of a backup of the restore",
    { offset: JUMP + 700, logEpoch: 5_001, restores: [FIRST] },
    { logEpoch: 8_000, restores: [FIRST, [8_000, JUMP + 600]] },
    JUMP + 600,
  ],
  [
    "an unclean stop after a restore",
    { offset: JUMP + 700, logEpoch: 5_000, restores: [FIRST] },
    { logEpoch: 5_001, restores: [FIRST] },
    JUMP + 700,
  ],
  [
    "the same, kept without its restores",
    { offset: JUMP + 700, logEpoch: 5_000 },
    { logEpoch: 5_001, restores: [FIRST] },
    JUMP + 700,
  ],
  [
    "from one restore to another, kept without its restores",
    { offset: JUMP + 700, logEpoch: 5_000 },
    { logEpoch: 6_000, restores: [SECOND] },
    MONDAY,
  ],
];

for (const [what, at, { highWatermark = HIGH, ...log }, expected] of cases) {
  t.equal(resumeOffset(at, { highWatermark, ...log }), expected, what);
}

t.test(
  "a reader learns what its log has been through, and what to go back to when it meets another",
  async (t) => {
    const bench = new InMemoryGateway();
    const topic = bench.node.addTopic("flights");
    const { topicId } = topic;
    const client = bench.connect();
    const log = bench.node.partition(topic, 0);
    log.append(10, storedBatch("a"), 100);
    log.logEpoch = 50;
    log.restores = [[50, 6]];
    client.subscribe(1, "flights");
    await bench.settle();
    t.match(client.socket.all("SUBSCRIBED"), [{ streams: [{ logEpoch: 50, restores: [[50, 6]] }] }]);
    const positions = [{ partition: 0, offset: 8, logEpoch: 40, restores: [[40, 5]] as const }];
    client.subscribe(2, "flights", { from: { kind: "resume", topicId, positions } });
    await bench.settle();
    t.match(client.socket.all("ERROR"), [
      { name: "LOG_EPOCH_CHANGED", details: { bounds: [[0, 0, 10, 50, 5]] } },
    ]);
  },
);
