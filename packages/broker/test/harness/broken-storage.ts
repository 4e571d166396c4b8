import type { JournalOptions, OpenMode, SimulatedStorage, Storage } from "@millrace/journal/internal";

/** The storage as a journal sees it that has forgotten some of its calls. */
function replaced(storage: SimulatedStorage, calls: Partial<Storage>): Storage {
  return new Proxy<Storage>(storage, {
    get: (target, name) => {
      const member = calls[name as keyof Storage] ?? target[name as keyof Storage];
      return typeof member === "function" && !(name in calls) ? member.bind(target) : member;
    },
  });
}

/** What is written to segments is never synced. */
export function withoutDataSync(storage: SimulatedStorage): Storage {
  const segments = new Set<number>();
  return replaced(storage, {
    open: (path: string, mode: OpenMode) => {
      const fd = storage.open(path, mode);
      if (path.endsWith(".log")) segments.add(fd);
      else segments.delete(fd);
      return fd;
    },
    sync: (fd: number) => {
      if (!segments.has(fd)) storage.sync(fd);
    },
  });
}

/** The names of new files are never synced. */
export function withoutFolderSync(storage: SimulatedStorage): Storage {
  return replaced(storage, { syncDirectory: () => {} });
}

/** A recovery that takes every entry for good. */
export const NO_CHECKSUMS: NonNullable<JournalOptions["check"]> = {
  header: () => true,
  payload: () => true,
};
