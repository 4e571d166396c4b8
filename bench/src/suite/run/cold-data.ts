import { type CacheEviction, evictFiles } from "../../harness/file-system.ts";
import type { SubjectRun } from "./subject-run.ts";

/**
 * Makes the next read of the subject's data come from the disk. File by file: the kernel's switch for everything would
 * throw the rest of the page cache away as well, and what is written next would find memory that the host has to give.
 */
export async function coolDown(run: SubjectRun): Promise<CacheEviction> {
  const eviction = await evictFiles({ children: run.context.children, folder: run.folder });
  run.notes.add(
    eviction === "not"
      ? "the page cache could not be dropped: what is cold here may be warm"
      : "cold: the data was dropped from the page cache; the host of a virtual machine may still have it in memory",
  );
  return eviction;
}
