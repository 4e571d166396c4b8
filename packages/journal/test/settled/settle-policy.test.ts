import t from "tap";
import { JOURNAL_LIMITS } from "../../src/limits.ts";
import type { SealedSegment } from "../../src/lookup/journal-index.ts";
import { segmentsDue, settlingPace, settlingPolicy } from "../../src/settled/settle-policy.ts";

const SIZE = JOURNAL_LIMITS.segmentBytesDefault;
const POLICY = settlingPolicy({}, SIZE);
const COMMITTED = Number.MAX_SAFE_INTEGER;

/** Sealed segments as full as entries of `entryBytes` make them. */
function segments(count: number, entryBytes: number, dense = false): SealedSegment[] {
  const size = SIZE - (SIZE % entryBytes);
  return Array.from({ length: count }, (_, i) => ({
    basePosition: i * size,
    endPosition: (i + 1) * size,
    epoch: 1,
    dense,
    sealedAtMs: 0,
  }));
}

t.test("with the usual values four segments are enough, however full their entries make them", async (t) => {
  for (const entryBytes of [104, 16_480, 1_000_008, 2_097_152]) {
    t.equal(segmentsDue(segments(3, entryBytes), COMMITTED, 0, POLICY), 0, `three, entries of ${entryBytes}`);
    t.equal(segmentsDue(segments(4, entryBytes), COMMITTED, 0, POLICY), 4, `four, entries of ${entryBytes}`);
    const many = segments(20, entryBytes);
    const due = segmentsDue(many, COMMITTED, 0, POLICY);
    t.ok((due as number) >= 4, `twenty, entries of ${entryBytes}`);
    const { endPosition } = many[due - 1] as SealedSegment;
    t.ok(endPosition <= JOURNAL_LIMITS.settleBytesMax, "and no more than one job may take");
  }
});

t.test(
  "one segment waits for the time, a dense one for nothing, and neither for less than a commit",
  async (t) => {
    t.equal(segmentsDue(segments(1, 104), COMMITTED, POLICY.afterMs - 1, POLICY), 0);
    t.equal(segmentsDue(segments(1, 104), COMMITTED, POLICY.afterMs, POLICY), 1);
    t.equal(segmentsDue(segments(2, 104, true), COMMITTED, 0, POLICY), 2);
    const [first, second] = segments(2, 104, true) as [SealedSegment, SealedSegment];
    t.equal(segmentsDue([first, second], first.endPosition, 0, POLICY), 0);
    t.equal(segmentsDue([first, second], first.endPosition + 1, 0, POLICY), 1);
  },
);

t.test("the more waits, the faster it is settled", async (t) => {
  const paces = [1, 2, 3].map((waiting) => settlingPace(waiting * SIZE, SIZE));
  t.same(
    paces,
    [1, 2, 4].map((times) => times * JOURNAL_LIMITS.settleBytesPerSecond),
  );
  t.equal(settlingPace(JOURNAL_LIMITS.settleUnlimitedSegments * SIZE, SIZE), 0, "as fast as it goes");
});
