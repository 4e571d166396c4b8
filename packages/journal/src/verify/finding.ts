/**
 * How bad it is. `damage`: bytes that had been durable are not what was written. `leftover`: what a crash leaves behind and a
 * start clears up; nothing that was promised is in it. `warning`: worth knowing.
 */
export type Severity = "damage" | "leftover" | "warning";

/** What is wrong. Append-only: scripts read it. */
export type FindingCode =
  | "CHECKPOINT_DAMAGED"
  | "ENTRY_DAMAGED"
  | "FENCE_DAMAGED"
  | "FILE_UNREADABLE"
  | "FOLDER_MISSING"
  | "FORMAT_FILE_DAMAGED"
  | "INDEX_DAMAGED"
  | "INDEX_MISSING"
  | "LEFTOVER_FILE"
  | "LITTLE_SPACE"
  | "MANIFEST_DAMAGED"
  | "MANIFEST_DISAGREES"
  | "OFFSETS_OVERLAP"
  | "QUARANTINED"
  | "SEGMENT_HEADER_DAMAGED"
  | "SEGMENT_MISSING"
  | "SEQUENCE_BROKEN"
  | "SETTLED_DAMAGED"
  | "SETTLED_MISSING"
  | "TORN_TAIL"
  | "UNKNOWN_FILE";

/** Bytes that replace others of the same length. */
export interface Patch {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/**
 * One step of a repair, safe at any crash: a file appears whole under its name or not at all, and what it replaces is kept
 * aside. Plain data: travels between threads.
 */
export type RepairStep =
  /** Copies the file with patches, ended at `size` if that is stated. */
  | {
      readonly kind: "rewrite";
      readonly path: string;
      readonly patches: readonly Patch[];
      readonly size: number | undefined;
    }
  /** Makes or replaces a small file. */
  | { readonly kind: "write"; readonly path: string; readonly bytes: Uint8Array }
  /** Makes the sidecar of a segment from its entries. */
  | {
      readonly kind: "index-segment";
      readonly path: string;
      readonly segmentPath: string;
      readonly shardId: number;
      readonly basePosition: number;
      readonly epoch: number;
      readonly endPosition: number;
      readonly seed: number;
    }
  /** Makes a settled file anew from its good entries: header, index and trailer too. */
  | {
      readonly kind: "rebuild-settled";
      readonly path: string;
      readonly shardId: number;
      readonly journalId: number;
      /** As the manifest says, where it does. */
      readonly endPosition: number | undefined;
      readonly adopted: boolean | undefined;
    }
  /** Takes the file out of the way, and keeps it. */
  | { readonly kind: "aside"; readonly path: string }
  /** For what holds nothing. */
  | { readonly kind: "remove"; readonly path: string };

/** What mends a finding. */
export interface Repair {
  /** What it does, for people; a clause that could follow "repair would". */
  readonly does: string;
  /** Empty: it can be done once something else is repaired. */
  readonly steps: readonly RepairStep[];
}

/** One thing that is wrong with one file. Plain data. */
export interface Finding {
  readonly severity: Severity;
  readonly code: FindingCode;
  /** Path of the file or folder. */
  readonly file: string;
  /** Byte in the file; 0 when it is about the whole file. */
  readonly position: number;
  readonly sentence: string;
  /** Undefined: it cannot be repaired without inventing something, and `remains` says what there is to do. */
  readonly repair: Repair | undefined;
  /** What holds as long as it is not repaired. */
  readonly remains: string;
}
