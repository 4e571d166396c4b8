import { encodeFence, FENCE_FILE } from "../ownership/fence.ts";
import { committedPositionOf, QUARANTINE_FILE } from "../ownership/quarantine.ts";
import { segmentFileName, sidecarFileName } from "../segment/segment-layout.ts";
import { parseManifestFileName } from "../settled/manifest-layout.ts";
import type { Finding, FindingCode, Repair, Severity } from "./finding.ts";
import { type ChainJudgement, cutSteps, judgeChain } from "./judge-chain.ts";
import { judgeSettled } from "./judge-settled.ts";
import { type ShardSurvey, type SurveyedCheckpoint, sidecarPath } from "./shard-survey.ts";
import type { SegmentResult } from "./verify-segment.ts";
import type { SettledResult } from "./verify-settled.ts";

const RESTORE = "restore the data folder from a backup";

/**
 * What is wrong with a shard, from what was found in each of its files. Changes nothing.
 *
 * @param segments results of all segments of the survey, in its order; `settled` those of all settled files.
 */
export function judgeShard(
  survey: ShardSurvey,
  segments: readonly SegmentResult[],
  settled: readonly SettledResult[],
): Finding[] {
  const judge = new ShardJudge(survey, segments);
  const { findings, settledPosition } = judgeSettled(survey, segments, settled);
  return [...judge.run(settledPosition), ...findings].sort(byFileAndPosition);
}

class ShardJudge {
  private readonly survey: ShardSurvey;
  private readonly segments: readonly SegmentResult[];
  private readonly findings: Finding[] = [];

  constructor(survey: ShardSurvey, segments: readonly SegmentResult[]) {
    this.survey = survey;
    this.segments = segments;
  }

  run(settledPosition: number): Finding[] {
    this.judgeFence();
    if (this.survey.journalId !== undefined || this.segments.length === 0) {
      const chain = judgeChain(this.survey, this.segments, settledPosition);
      this.findings.push(...chain.findings);
      this.judgeCheckpoints(chain, settledPosition);
      this.judgeSidecars(settledPosition);
      this.judgeQuarantine(chain);
    }
    this.judgeLeftovers();
    return this.findings;
  }

  private judgeFence(): void {
    const { survey } = this;
    const { directory, fence, fenceIsDamaged, journalId, shardId } = survey;
    const path = `${directory}/${FENCE_FILE}`;
    const hasJournal = survey.segments.length + survey.checkpoints.length + survey.settled.length > 0;
    if (fence === undefined && !fenceIsDamaged && !hasJournal) return;
    const epoch = Math.max(
      0,
      ...survey.segments.map((segment) => segment.epoch),
      ...survey.dead.map((segment) => segment.epoch),
      ...survey.settled.map((file) => file.epoch),
      ...survey.checkpoints.map(({ content }) => content?.epoch ?? 0),
      survey.manifest?.epoch ?? 0,
    );
    if (fence !== undefined && fence.epoch >= epoch) return;
    const sentence = fenceIsDamaged
      ? "the fence is damaged, so nobody can say who owns the shard"
      : fence === undefined
        ? "the fence is missing"
        : `the fence has epoch ${fence.epoch}, and there are files of epoch ${epoch}`;
    const isKnown = journalId !== undefined && epoch > 0;
    const repair: Repair | undefined = isKnown
      ? {
          does: `write it again: epoch ${epoch} from the files' names, the journal's id from the headers of its segments`,
          steps: [{ kind: "write", path, bytes: encodeFence({ shardId, epoch, journalId }) }],
        }
      : undefined;
    this.report(
      "damage",
      "FENCE_DAMAGED",
      path,
      0,
      sentence,
      repair,
      `a broker refuses to start: ${RESTORE}`,
    );
  }

  private judgeCheckpoints(chain: ChainJudgement, settledPosition: number): void {
    const { survey } = this;
    const problems = new Map<SurveyedCheckpoint, string>();
    for (const checkpoint of survey.checkpoints) {
      const problem = this.problemOf(checkpoint, chain, settledPosition);
      if (problem !== undefined) problems.set(checkpoint, problem);
    }
    const newestGood = survey.checkpoints.filter((checkpoint) => !problems.has(checkpoint)).at(-1);
    const start = newestGood?.position ?? 0;
    const isWhole = chain.startPosition <= start && chain.unrepaired.every((position) => position < start);
    for (const [{ name }, problem] of problems) {
      const path = `${survey.directory}/${name}`;
      const from = newestGood === undefined ? "from its beginning" : `behind ${newestGood.name}`;
      this.report(
        "damage",
        "CHECKPOINT_DAMAGED",
        path,
        0,
        problem,
        isWhole
          ? { does: `do without it: the journal ${from} is whole`, steps: [{ kind: "aside", path }] }
          : undefined,
        `the journal ${from} is not whole: ${RESTORE}`,
      );
    }
  }

  private problemOf(
    { content, position }: SurveyedCheckpoint,
    chain: ChainJudgement,
    settledPosition: number,
  ): string | undefined {
    if (content === undefined) return "the checkpoint is damaged";
    const { survey, segments } = this;
    const names = new Set(survey.segments.map(({ fileName }) => fileName));
    for (const { basePosition, epoch, endPosition } of content.segments) {
      const name = segmentFileName(basePosition, epoch);
      if (endPosition > settledPosition && !names.has(name) && chain.unrepaired.length === 0) {
        return `the checkpoint names ${name}, which is missing`;
      }
    }
    const mark = survey.checkpoints
      .filter((each) => each.content !== undefined)
      .findIndex((each) => each.position === position);
    const sequences = segments.map(({ marks }) => marks[mark]).filter((sequence) => sequence !== undefined);
    const hasDamage = chain.findings.some(({ severity }) => severity === "damage");
    if (hasDamage || sequences.length === 0 || sequences.includes(content.sequence)) return undefined;
    return `the checkpoint says that sequence ${content.sequence} follows at position ${position}, the journal says ${sequences[0]}`;
  }

  private judgeSidecars(settledPosition: number): void {
    const { survey, segments } = this;
    const { directory, shardId } = survey;
    const newest = survey.checkpoints.at(-1)?.position ?? 0;
    const oldest = survey.checkpoints[0]?.position ?? 0;
    const live = new Set<string>();
    segments.forEach(({ basePosition, epoch, indexProblem, path: segmentPath }, i) => {
      const path = sidecarPath(directory, { basePosition, epoch });
      const name = path.slice(directory.length + 1);
      live.add(name);
      const endPosition = segments[i + 1]?.basePosition;
      if (endPosition === undefined) return;
      const isThere = survey.sidecars.has(name);
      // A checkpoint is written once the sidecars of what it covers are durable. What is settled needs none.
      const isNeeded = endPosition <= newest && endPosition > Math.min(settledPosition, oldest);
      if (isThere ? indexProblem === undefined : !isNeeded) return;
      const { seed } = survey.segments[i] as { readonly seed: number };
      const repair: Repair = {
        does: "make it again from the segment's entries",
        steps: [
          { kind: "index-segment", path, segmentPath, shardId, basePosition, epoch, endPosition, seed },
        ],
      };
      this.report(
        "damage",
        isThere ? "INDEX_DAMAGED" : "INDEX_MISSING",
        path,
        indexProblem?.position ?? 0,
        indexProblem?.sentence ?? "the segment's sidecar is missing",
        repair,
        "reads of the segment are slow, and correct",
      );
    });
    for (const name of survey.sidecars) {
      if (live.has(name)) continue;
      const isOfDead = survey.dead.some(
        ({ basePosition, epoch }) => sidecarFileName(basePosition, epoch) === name,
      );
      if (!isOfDead) this.reportLeftover(`${directory}/${name}`, "the sidecar's segment is gone", "remove");
    }
  }

  /**
   * The journal is copied to where the mark says that it had been synced, which is behind everything that was promised. A
   * mark without that (the disk was full) leaves what is whole, as a crash would.
   */
  private judgeQuarantine(chain: ChainJudgement): void {
    const { survey, segments } = this;
    if (survey.quarantine === undefined) return;
    const path = `${survey.directory}/${QUARANTINE_FILE}`;
    const stated = committedPositionOf(survey.quarantine);
    const cut = Math.max(stated ?? chain.endPosition, chain.provenPosition);
    let last = segments.length - 1;
    while (last > 0 && (segments[last] as SegmentResult).basePosition >= cut) last--;
    const steps = cutSteps(survey, segments, last, cut);
    for (let i = last - 1; i >= 0 && stated === undefined; i--) {
      const { path: before, endPosition, basePosition } = segments[i] as SegmentResult;
      if (endPosition <= chain.provenPosition) break;
      // Once more to the disk: the system may only believe that it has written it.
      steps.push({ kind: "rewrite", path: before, patches: [], size: endPosition - basePosition });
    }
    const isWhole = chain.unrepaired.length === 0 && chain.endPosition >= cut;
    this.report(
      "damage",
      "QUARANTINED",
      path,
      0,
      `a write or sync failed here, so what the disk holds is not known: ${survey.quarantine.replaceAll("\n", "; ")}`,
      isWhole
        ? {
            does: `copy the journal up to position ${cut}, drop what is behind it, and lift the quarantine`,
            steps: [...steps, { kind: "aside", path }],
          }
        : undefined,
      "a broker refuses to start; check the disk first",
    );
  }

  private judgeLeftovers(): void {
    const { survey } = this;
    const { directory } = survey;
    for (const name of survey.temporaries) {
      this.reportLeftover(`${directory}/${name}`, "a file that was being made", "remove");
    }
    for (const { basePosition, epoch } of survey.dead) {
      const sentence = "a newer owner began where this segment does, so it does not count";
      this.reportLeftover(`${directory}/${segmentFileName(basePosition, epoch)}`, sentence, "aside");
      const sidecar = sidecarFileName(basePosition, epoch);
      if (survey.sidecars.has(sidecar)) this.reportLeftover(`${directory}/${sidecar}`, sentence, "aside");
    }
    for (const name of survey.olderManifests) {
      const epoch = parseManifestFileName(name);
      this.reportLeftover(
        `${directory}/${name}`,
        `the manifest of epoch ${epoch} was followed by a newer one`,
        "aside",
      );
    }
    for (const name of survey.unknown) {
      const path = `${directory}/${name}`;
      this.report(
        "warning",
        "UNKNOWN_FILE",
        path,
        0,
        "no file of a shard has such a name",
        undefined,
        "it is left alone",
      );
    }
  }

  private reportLeftover(path: string, sentence: string, kind: "aside" | "remove"): void {
    const repair: Repair = {
      does: kind === "aside" ? "take it out of the way" : "remove it",
      steps: [{ kind, path }],
    };
    this.report("leftover", "LEFTOVER_FILE", path, 0, sentence, repair, "the next start removes it");
  }

  private report(
    severity: Severity,
    code: FindingCode,
    file: string,
    position: number,
    sentence: string,
    repair: Repair | undefined,
    remains: string,
  ): void {
    this.findings.push({ severity, code, file, position, sentence, repair, remains });
  }
}

/** Positions of good checkpoints, whose sequences the segments are asked for. */
export function marksOf(survey: ShardSurvey): number[] {
  return survey.checkpoints.filter(({ content }) => content !== undefined).map(({ position }) => position);
}

function byFileAndPosition(a: Finding, b: Finding): number {
  return a.file < b.file ? -1 : a.file > b.file ? 1 : a.position - b.position;
}
