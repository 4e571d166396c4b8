import { allPeers } from "../../peers/all-peers.ts";
import { millrace, millraceRaw } from "./millrace.ts";
import type { Subject } from "./subject.ts";

export const ALL_SUBJECTS: readonly Subject[] = [millrace, millraceRaw, ...allPeers];

/** Subjects whose name contains one of these; `=name` is that one alone; all of them where none is asked for. */
export function chosenSubjects(asked: readonly string[]): readonly Subject[] {
  if (asked.length === 0) return ALL_SUBJECTS;
  return ALL_SUBJECTS.filter(({ name }) =>
    asked.some((part) => (part.startsWith("=") ? name === part.slice(1) : name.includes(part))),
  );
}
