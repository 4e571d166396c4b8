import { crc32 } from "@millrace/protocol/internal";
import {
  encodeManifest,
  type Manifest,
  manifestFileName,
  type SettledFile,
  type SettledPartition,
} from "../settled/manifest-layout.ts";
import { settledFileName } from "../settled/settled-layout.ts";
import { describeHole } from "./entry-repair.ts";
import type { Finding, FindingCode, Repair, Severity } from "./finding.ts";
import {
  TOTAL_BYTES,
  TOTAL_END_OFFSET,
  TOTAL_FIELDS,
  TOTAL_FIRST_OFFSET,
  TOTAL_PARTITION,
  TOTAL_TOPIC_ID,
  totalKey,
} from "./partition-totals.ts";
import type { ShardSurvey } from "./shard-survey.ts";
import type { SegmentResult } from "./verify-segment.ts";
import type { SettledResult } from "./verify-settled.ts";

export interface SettledJudgement {
  readonly findings: readonly Finding[];
  /** Of the manifest, or of the one that can be made again; 0 without one. */
  readonly settledPosition: number;
}

const RESTORE = "restore the data folder from a backup";

/** Judges manifest and settled files, and whether offsets go on from them into the journal. */
export function judgeSettled(
  survey: ShardSurvey,
  segments: readonly SegmentResult[],
  results: readonly SettledResult[],
): SettledJudgement {
  return new SettledJudge(survey, segments, results).run();
}

class SettledJudge {
  private readonly survey: ShardSurvey;
  private readonly segments: readonly SegmentResult[];
  private readonly results: ReadonlyMap<string, SettledResult>;
  private readonly findings: Finding[] = [];

  constructor(survey: ShardSurvey, segments: readonly SegmentResult[], results: readonly SettledResult[]) {
    this.survey = survey;
    this.segments = segments;
    this.results = new Map(results.map((result) => [settledFileName(result.name), result]));
  }

  run(): SettledJudgement {
    const { survey } = this;
    const { manifest } = survey;
    let settledPosition = 0;
    if (manifest?.content !== undefined) {
      settledPosition = manifest.content.settledPosition;
      this.judgeListed(manifest.content, `${survey.directory}/${manifest.name}`);
    } else if (manifest !== undefined || this.isManifestMissing()) {
      settledPosition = this.judgeBadManifest();
    } else {
      for (const name of this.results.keys()) this.reportUnlisted(name);
    }
    return { findings: this.findings, settledPosition };
  }

  /** The journal's beginning was removed, which happens only once a manifest lists what was in it. */
  private isManifestMissing(): boolean {
    return this.results.size > 0 && this.startPosition > 0;
  }

  private get startPosition(): number {
    return this.segments[0]?.basePosition ?? Number.POSITIVE_INFINITY;
  }

  private judgeListed(manifest: Manifest, manifestPath: string): void {
    const listed = new Set<string>();
    const rows: SettledFile[] = [];
    const wrong: string[] = [];
    let isWhole = true;
    for (const file of manifest.files) {
      const name = settledFileName(file);
      listed.add(name);
      const result = this.results.get(name);
      const good = result?.file;
      if (result === undefined) {
        const path = `${this.survey.directory}/${name}`;
        const remains = `a broker refuses to start; put the file back, or ${RESTORE}`;
        this.report("damage", "SETTLED_MISSING", path, 0, "the manifest lists this file", undefined, remains);
      } else if (good === undefined) this.judgeFile(result, file);
      else if (!isSameFile(good, file)) wrong.push(name);
      isWhole &&= good !== undefined;
      rows.push(good ?? file);
    }
    for (const name of this.results.keys()) if (!listed.has(name)) this.reportUnlisted(name);
    const sums = this.sumBytes(listed);
    const partitions = manifest.partitions.map(
      (partition): SettledPartition => ({
        ...partition,
        bytes: sums.get(totalKey(partition.topicId, partition.partition)) ?? 0,
      }),
    );
    const sumsDiffer = isWhole && partitions.some(({ bytes }, i) => bytes !== manifest.partitions[i]?.bytes);
    if (wrong.length > 0 || sumsDiffer) {
      const { shardId, epoch, settledPosition } = manifest;
      const generation = manifest.generation + 1;
      const kept = (isWhole ? partitions : manifest.partitions).filter(({ bytes }) => bytes > 0);
      const bytes = withChecksum(
        encodeManifest({ shardId, epoch, generation, settledPosition, files: rows, partitions: kept }),
      );
      const what = wrong.length > 0 ? `what it says of ${wrong.join(", ")}` : "the bytes of its partitions";
      this.report(
        "damage",
        "MANIFEST_DISAGREES",
        manifestPath,
        0,
        `the manifest's checksum is right, but ${what} is not what the files hold`,
        { does: "write it again from the files", steps: [{ kind: "write", path: manifestPath, bytes }] },
        "a broker may refuse to start, or reads fail",
      );
    }
    this.judgeOffsets(listed, manifest.settledPosition);
  }

  private judgeFile(result: SettledResult, listed: SettledFile | undefined): void {
    const { path, identity, holes, problems } = result;
    const { shardId, journalId } = this.survey;
    const lost = holes.filter(
      ({ isCorrected, reason }) => !isCorrected && reason !== "bytes behind the entry",
    ).length;
    const repair: Repair | undefined =
      identity === undefined || journalId === undefined
        ? undefined
        : {
            does:
              lost > 0
                ? "write it again with all good entries, a new index and trailer; the others become gaps that readers are told of"
                : "write it again with all its entries, a new index and trailer",
            steps: [
              {
                kind: "rebuild-settled",
                path,
                shardId,
                journalId,
                endPosition: listed?.endPosition,
                adopted: listed?.adopted,
              },
            ],
          };
    const remains = `reads of what is damaged fail and all else can be read; to have it back, ${RESTORE}`;
    for (const hole of holes) {
      this.report("damage", "ENTRY_DAMAGED", path, hole.start, describeHole(hole), repair, remains);
    }
    for (const { position, sentence } of problems) {
      this.report("damage", "SETTLED_DAMAGED", path, position, sentence, repair, remains);
    }
  }

  /** Makes the manifest again, if the files leave no choice. @returns the settledPosition that it has, or would have had at least */
  private judgeBadManifest(): number {
    const { survey } = this;
    const { directory, shardId, manifest } = survey;
    const epoch = manifest?.epoch ?? survey.fence?.epoch ?? 0;
    const path = `${directory}/${manifestFileName(epoch)}`;
    const sentence = manifest === undefined ? "the manifest is missing" : "the manifest is damaged";
    const results = [...this.results.values()];
    const start = Number.isFinite(this.startPosition) ? this.startPosition : 0;
    const damaged = results.filter(({ file }) => file === undefined);
    for (const result of damaged) this.judgeFile(result, undefined);
    if (damaged.length > 0 && damaged.every(({ identity }) => identity !== undefined)) {
      const repair: Repair = { does: "make it again once the settled files are whole", steps: [] };
      this.report("damage", "MANIFEST_DAMAGED", path, 0, sentence, repair, "a broker refuses to start");
      return start;
    }
    const remade = epoch === 0 ? "nobody knows the shard's epoch" : this.remakeManifest(results, start);
    if (typeof remade === "string") {
      const remains = `a broker refuses to start; it cannot be made again, since ${remade}: ${RESTORE}`;
      this.report("damage", "MANIFEST_DAMAGED", path, 0, sentence, undefined, remains);
      return start;
    }
    const { files, partitions, settledPosition } = remade;
    const bytes = withChecksum(
      encodeManifest({ shardId, epoch, generation: 1, settledPosition, files, partitions }),
    );
    this.report(
      "damage",
      "MANIFEST_DAMAGED",
      path,
      0,
      sentence,
      {
        does: `make it again from the names, headers and footers of ${files.length} settled files`,
        steps: [{ kind: "write", path, bytes }],
      },
      "a broker refuses to start",
    );
    return settledPosition;
  }

  /** @returns why it cannot be done, or what the manifest has to say. */
  private remakeManifest(
    results: readonly SettledResult[],
    start: number,
  ): string | { files: SettledFile[]; partitions: SettledPartition[]; settledPosition: number } {
    const damaged = results.find(({ file }) => file === undefined);
    if (damaged !== undefined) return `${settledFileName(damaged.name)} is damaged as well`;
    const files = results.map(({ file }) => file as SettledFile);
    let settledPosition = start;
    for (const file of files) {
      if (file.endPosition <= start) continue;
      // Its stretch is settled by one change of the manifest, and segments go only after that: some of them are gone, so it
      // was listed. Where all are there it counts if it lacks nothing of theirs, and nothing is lost then either way.
      if (file.basePosition >= start && !this.coversSegments(file.basePosition, file.endPosition, files)) {
        return `${settledFileName(file)} may have been in it or not`;
      }
      settledPosition = Math.max(settledPosition, file.endPosition);
    }
    const sums = new Map<number, SettledPartition>();
    const ends = new Map<number, number>();
    for (const { rows, name } of results) {
      for (let at = 0; at < rows.length; at += TOTAL_FIELDS) {
        const [topicId, partition, firstOffset, endOffset, bytes] = rows.subarray(
          at,
          at + TOTAL_FIELDS,
        ) as unknown as [number, number, number, number, number];
        const key = totalKey(topicId, partition);
        if (firstOffset < (ends.get(key) ?? 0))
          return `${settledFileName(name)} holds what another file holds too`;
        ends.set(key, endOffset);
        sums.set(key, { topicId, partition, bytes: bytes + (sums.get(key)?.bytes ?? 0) });
      }
    }
    const partitions = [...sums.values()].sort((a, b) => a.topicId - b.topicId || a.partition - b.partition);
    return { files, partitions, settledPosition };
  }

  /** Whether the files of a stretch hold everything that its segments hold, which are all there. */
  private coversSegments(basePosition: number, endPosition: number, files: readonly SettledFile[]): boolean {
    const ranges = new Map<number, [number, number]>();
    const inStretch = files.filter(
      (file) => file.basePosition < endPosition && file.endPosition > basePosition,
    );
    for (const file of inStretch) {
      const { rows } = this.results.get(settledFileName(file)) as SettledResult;
      for (let at = 0; at < rows.length; at += TOTAL_FIELDS) {
        const key = totalKey(rows[at + TOTAL_TOPIC_ID] as number, rows[at + TOTAL_PARTITION] as number);
        const first = rows[at + TOTAL_FIRST_OFFSET] as number;
        const end = rows[at + TOTAL_END_OFFSET] as number;
        const range = ranges.get(key);
        ranges.set(
          key,
          range === undefined ? [first, end] : [Math.min(range[0], first), Math.max(range[1], end)],
        );
      }
    }
    const stretch = this.segments.filter(
      (each) => each.basePosition >= basePosition && each.basePosition < endPosition,
    );
    if (stretch[0]?.basePosition !== basePosition || stretch.some(({ holes }) => holes.length > 0))
      return false;
    return stretch.every(({ rows }) => {
      for (let at = 0; at < rows.length; at += TOTAL_FIELDS) {
        const range = ranges.get(
          totalKey(rows[at + TOTAL_TOPIC_ID] as number, rows[at + TOTAL_PARTITION] as number),
        );
        if (range === undefined || (rows[at + TOTAL_FIRST_OFFSET] as number) < range[0]) return false;
        if ((rows[at + TOTAL_END_OFFSET] as number) > range[1]) return false;
      }
      return true;
    });
  }

  /** Offsets of a partition go on from file to file and into the journal. */
  private judgeOffsets(listed: ReadonlySet<string>, settledPosition: number): void {
    const ends = new Map<number, number>();
    const files = [...this.results.values()].filter(({ name }) => listed.has(settledFileName(name)));
    for (const { path, rows } of files) this.followOffsets(path, rows, ends);
    for (const { path, rows, basePosition } of this.segments) {
      if (basePosition >= settledPosition) this.followOffsets(path, rows, ends);
    }
  }

  private followOffsets(path: string, rows: Float64Array, ends: Map<number, number>): void {
    for (let at = 0; at < rows.length; at += TOTAL_FIELDS) {
      const topicId = rows[at + TOTAL_TOPIC_ID] as number;
      const partition = rows[at + TOTAL_PARTITION] as number;
      const key = totalKey(topicId, partition);
      const first = rows[at + TOTAL_FIRST_OFFSET] as number;
      const reached = ends.get(key) ?? 0;
      if (first < reached) {
        const sentence = `topic ${topicId} partition ${partition} begins at offset ${first} here, and an older file goes up to ${reached}`;
        this.report("damage", "OFFSETS_OVERLAP", path, 0, sentence, undefined, RESTORE);
      }
      ends.set(key, Math.max(reached, rows[at + TOTAL_END_OFFSET] as number));
    }
  }

  private sumBytes(listed: ReadonlySet<string>): Map<number, number> {
    const sums = new Map<number, number>();
    for (const [name, { rows }] of this.results) {
      if (!listed.has(name)) continue;
      for (let at = 0; at < rows.length; at += TOTAL_FIELDS) {
        const key = totalKey(rows[at + TOTAL_TOPIC_ID] as number, rows[at + TOTAL_PARTITION] as number);
        sums.set(key, (sums.get(key) ?? 0) + (rows[at + TOTAL_BYTES] as number));
      }
    }
    return sums;
  }

  private reportUnlisted(name: string): void {
    const path = `${this.survey.directory}/${name}`;
    const repair: Repair = { does: "take it out of the way", steps: [{ kind: "aside", path }] };
    const sentence = "no manifest lists this file";
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

function isSameFile(a: SettledFile, b: SettledFile): boolean {
  const fields = Object.keys(a) as (keyof SettledFile)[];
  return fields.every((field) => a[field] === b[field]);
}

function withChecksum(content: Uint8Array): Uint8Array {
  const bytes = Buffer.from(new ArrayBuffer(content.length + 4));
  bytes.set(content);
  bytes.writeUInt32LE(crc32(content, 0, content.length), content.length);
  return new Uint8Array(bytes.buffer);
}
