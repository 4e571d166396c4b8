import type { ReceivedRecord } from "../api/record.ts";
import { Deque } from "../deque.ts";
import type { PartitionCursor } from "./partition-cursor.ts";

interface Scan {
  readonly cursor: PartitionCursor;
  /** What stood before this offset when the reading began is scanned. */
  readonly end: number;
  /** Newest record by key, the one that was set last being the newest of all. */
  readonly newest: Map<string, ReceivedRecord>;
}

/** Lets through, of the records that were there before the beginning, only the newest of each key; then everything. */
export class LastValues {
  readonly #scans: Map<number, Scan> = new Map();
  readonly #out: Deque<ReceivedRecord> = new Deque();

  /** That partition is scanned up to an offset. */
  add(cursor: PartitionCursor, end: number): void {
    this.#scans.set(cursor.partition, { cursor, end, newest: new Map() });
  }

  /** The next record to let through, out of what `next` gives; undefined when that has none. */
  take(next: () => ReceivedRecord | undefined): ReceivedRecord | undefined {
    for (;;) {
      const out = this.#out.shift();
      if (out !== undefined) return out;
      const record = next();
      if (record !== undefined) this.#pass(record);
      else if (!this.#completeRead()) return undefined;
    }
  }

  #pass(record: ReceivedRecord): void {
    const scan = this.#scans.get(record.partition);
    if (scan !== undefined && record.offset < scan.end) {
      if (record.key !== undefined) {
        const name = nameOf(record.key);
        scan.newest.delete(name);
        scan.newest.set(name, record);
      }
      if (record.offset + 1 >= scan.end) this.#complete(scan);
      return;
    }
    if (scan !== undefined) this.#complete(scan);
    this.#out.push(record);
  }

  /** Scans that are through without a record at their end, which may be missing; false when there is none. */
  #completeRead(): boolean {
    let any = false;
    for (const scan of [...this.#scans.values()]) {
      if (scan.cursor.consumed < scan.end) continue;
      this.#complete(scan);
      any = true;
    }
    return any;
  }

  #complete({ cursor, newest }: Scan): void {
    this.#scans.delete(cursor.partition);
    for (const record of newest.values()) this.#out.push(record);
  }
}

/** Strings and bytes are different keys. */
function nameOf(key: string | Uint8Array): string {
  return typeof key === "string" ? `"${key}` : key.join(",");
}
