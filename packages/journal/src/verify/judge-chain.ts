import { encodeSegmentHeader, SEGMENT_HEADER_BYTES } from "../segment/segment-layout.ts";
import type { Hole } from "./damage-walk.ts";
import { describeHole, repairEntry } from "./entry-repair.ts";
import type { Finding, FindingCode, RepairStep } from "./finding.ts";
import { type ShardSurvey, sidecarPath } from "./shard-survey.ts";
import type { SegmentResult } from "./verify-segment.ts";

/** What the segments of a shard are, taken together. */
export interface ChainJudgement {
  readonly findings: readonly Finding[];
  /** Everything before it had been durable. */
  readonly provenPosition: number;
  /** Damage behind which nothing can be replayed: positions of the journal, in order. */
  readonly unrepaired: readonly number[];
  /** Where the journal's entries begin, and end, a torn tail left out; 0 without any. */
  readonly startPosition: number;
  readonly endPosition: number;
}

const RESTORE = "restore the data folder from a backup";

/**
 * Judges the segments as recovery would: what nothing proves to have been durable is a torn tail, all else that is bad is damage.
 *
 * @param results of all segments, by position.
 * @param settledPosition of the manifest, or as it will be.
 */
export function judgeChain(
  survey: ShardSurvey,
  results: readonly SegmentResult[],
  settledPosition: number,
): ChainJudgement {
  return new ChainJudge(survey, results, settledPosition).run();
}

class ChainJudge {
  private readonly survey: ShardSurvey;
  private readonly results: readonly SegmentResult[];
  private readonly findings: Finding[] = [];
  private readonly unrepaired: number[] = [];
  private tornAt: number | undefined;
  /** Everything before it had been durable, as names and headers say; and the entry that stands at settledPosition. */
  private readonly proven: number;
  /** Segments that end here or before may be gone, whole or in part. */
  private readonly neededFrom: number;
  /** A start may go back to the older checkpoint. */
  private readonly replayedFrom: number;

  constructor(survey: ShardSurvey, results: readonly SegmentResult[], settledPosition: number) {
    this.survey = survey;
    this.results = results;
    const positions = survey.checkpoints.map(({ position }) => position);
    const good = survey.checkpoints.filter(({ content }) => content !== undefined);
    this.proven = Math.max(
      0,
      ...positions,
      ...results.map(({ provenPosition }) => provenPosition),
      settledPosition > 0 ? settledPosition + 1 : 0,
    );
    this.neededFrom = Math.min(settledPosition, positions[0] ?? 0);
    this.replayedFrom = good[0]?.position ?? 0;
  }

  run(): ChainJudgement {
    const { results } = this;
    this.judgeStart();
    let sequence: number | undefined;
    for (let i = 0; i < results.length; i++) {
      const result = results[i] as SegmentResult;
      if (this.judgeSegment(i, result)) break;
      if (this.judgeSequence(i, result, sequence)) break;
      sequence = result.nextSequence ?? sequence;
      if (i + 1 === results.length) this.judgeEnd(result);
    }
    return {
      findings: this.findings,
      provenPosition: this.proven,
      unrepaired: this.unrepaired,
      startPosition: results[0]?.basePosition ?? 0,
      endPosition: this.tornAt ?? results.at(-1)?.endPosition ?? 0,
    };
  }

  private judgeStart(): void {
    const { survey, results, neededFrom, proven } = this;
    const first = results[0];
    const newest = survey.checkpoints.filter(({ content }) => content !== undefined).at(-1)?.position ?? 0;
    const start = first?.basePosition ?? Number.POSITIVE_INFINITY;
    if (start === 0 || start <= Math.max(neededFrom, 0) || (first === undefined && proven === 0)) return;
    // Without a good checkpoint a start needs everything that the journal ever had.
    const missing = Math.min(neededFrom, newest);
    this.unrepaired.push(missing);
    const to = first === undefined ? "its end" : String(first.basePosition);
    this.report(
      "SEGMENT_MISSING",
      survey.directory,
      0,
      `the journal lacks positions ${missing} to ${to}`,
      RESTORE,
    );
  }

  /** @returns true when the journal ends in it. */
  private judgeSegment(i: number, result: SegmentResult): boolean {
    const { basePosition, path } = result;
    const { seed } = this.survey.segments[i] as { readonly seed: number };
    if (!result.headerIsGood) {
      const startsWithEntry = result.entries > 0 && result.holes[0]?.start !== SEGMENT_HEADER_BYTES;
      // Behind a whole entry that follows on the one before, the header says nothing that its name does not.
      if (this.proven <= basePosition && !startsWithEntry) return this.reportTear(i, result, basePosition);
      const bytes = encodeSegmentHeader({
        seed,
        shardId: this.survey.shardId,
        epoch: result.epoch,
        basePosition,
        syncedPosition: Math.min(this.proven, basePosition),
      });
      this.reportPatch("SEGMENT_HEADER_DAMAGED", path, 0, "the segment's header is damaged", {
        does: "write the header again, from the file's name and the fence",
        steps: [{ kind: "rewrite", path, patches: [{ at: 0, bytes }], size: undefined }],
      });
    }
    for (const { at, sentence } of result.overlaps) {
      this.report("OFFSETS_OVERLAP", path, at, sentence, RESTORE);
    }
    for (const hole of result.holes) if (this.judgeHole(i, result, hole, seed)) return true;
    return false;
  }

  /** @returns true when the journal ends there. */
  private judgeHole(i: number, result: SegmentResult, hole: Hole, seed: number): boolean {
    const { path, basePosition } = result;
    const position = basePosition + hole.start;
    const next = this.results[i + 1];
    // Segments that nobody needs any more go in any order.
    if (hole.isLast && next !== undefined && next.basePosition <= this.neededFrom) return false;
    const isPadding = hole.reason === "bytes behind the entry";
    if (!isPadding && !hole.isCorrected && this.proven <= position)
      return this.reportTear(i, result, position);
    const isReplayed = position >= this.replayedFrom;
    const repair = repairEntry(hole, seed, isReplayed);
    const sentence = describeHole(hole);
    if (repair !== undefined) {
      const step: RepairStep = { kind: "rewrite", path, patches: repair.patches, size: undefined };
      this.reportPatch("ENTRY_DAMAGED", path, hole.start, sentence, { does: repair.does, steps: [step] });
      return false;
    }
    const code = hole.reason === "sequence" ? "SEQUENCE_BROKEN" : "ENTRY_DAMAGED";
    if (isReplayed) this.unrepaired.push(position);
    const remains = isReplayed
      ? `a broker refuses to start with it: ${RESTORE}`
      : `reads of it fail and all else can be read; to have it back, ${RESTORE}`;
    this.report(code, path, hole.start, `${sentence} (position ${position} of the journal)`, remains);
    return false;
  }

  /** Whether the segment follows on the ones before. @returns true when the journal ends before it. */
  private judgeSequence(i: number, result: SegmentResult, sequence: number | undefined): boolean {
    const { basePosition, firstSequence, path } = result;
    if (sequence === undefined || firstSequence === undefined || sequence === firstSequence) return false;
    if (basePosition <= this.neededFrom) return false;
    const before = this.results[i - 1];
    // A hole has been reported there already.
    if (before?.holes.some(({ isLast }) => isLast) || result.holes[0]?.start === SEGMENT_HEADER_BYTES)
      return false;
    const position = basePosition + SEGMENT_HEADER_BYTES;
    if (this.proven <= position) return this.reportTear(i, result, position);
    this.unrepaired.push(position);
    const sentence = `the first entry has sequence ${firstSequence}, where ${sequence} follows`;
    this.report("SEQUENCE_BROKEN", path, SEGMENT_HEADER_BYTES, sentence, RESTORE);
    return false;
  }

  /** The last segment is whole; but had there been more? */
  private judgeEnd(result: SegmentResult): void {
    const { endPosition, basePosition, path } = result;
    // Behind a hole that was reported there is nothing else to say.
    if (this.proven <= endPosition || result.holes.some(({ isLast }) => isLast)) return;
    if (result.entries === 0 && this.proven <= basePosition + SEGMENT_HEADER_BYTES) return;
    this.unrepaired.push(endPosition);
    this.report(
      "SEGMENT_MISSING",
      path,
      endPosition - basePosition,
      `the journal ends at position ${endPosition}, but what stood before ${this.proven} had been durable`,
      RESTORE,
    );
  }

  /** The journal ends at `position` in the i-th segment; what is behind was never promised. */
  private reportTear(i: number, result: SegmentResult, position: number): true {
    this.tornAt = position;
    // What is behind a quarantined journal's end goes with the quarantine.
    if (this.survey.quarantine !== undefined) return true;
    const { path, basePosition } = result;
    const steps = cutSteps(this.survey, this.results, i, position);
    const later = this.results.length - i - 1;
    const behind = later > 0 ? `, and ${later} more segments behind it` : "";
    this.findings.push({
      severity: "leftover",
      code: "TORN_TAIL",
      file: path,
      position: position - basePosition,
      sentence: `a crash tore the journal's end here (position ${position})${behind}; nothing shows that it had been durable`,
      repair: { does: "cut it off, as the next start does", steps },
      remains: "the next start cuts it off",
    });
    return true;
  }

  private reportPatch(
    code: FindingCode,
    file: string,
    position: number,
    sentence: string,
    repair: NonNullable<Finding["repair"]>,
  ): void {
    const remains = "what is around it stays as it is";
    this.findings.push({ severity: "damage", code, file, position, sentence, repair, remains });
  }

  private report(code: FindingCode, file: string, position: number, sentence: string, remains: string): void {
    this.findings.push({ severity: "damage", code, file, position, sentence, repair: undefined, remains });
  }
}

/** What ends the journal at `position`, in the i-th segment: later files first, so that a crash leaves a torn tail again. */
export function cutSteps(
  survey: ShardSurvey,
  results: readonly SegmentResult[],
  i: number,
  position: number,
): RepairStep[] {
  const { directory, sidecars } = survey;
  const steps: RepairStep[] = [];
  const aside = (result: SegmentResult): void => {
    steps.push({ kind: "aside", path: result.path });
    const sidecar = sidecarPath(directory, result);
    if (sidecars.has(sidecar.slice(directory.length + 1))) steps.push({ kind: "aside", path: sidecar });
  };
  for (let k = results.length - 1; k > i; k--) aside(results[k] as SegmentResult);
  const result = results[i];
  if (result === undefined) return steps;
  const size = position - result.basePosition;
  if (size <= SEGMENT_HEADER_BYTES) aside(result);
  else steps.push({ kind: "rewrite", path: result.path, patches: [], size });
  return steps;
}
