import type { ReceivedRecord } from "../api/record.ts";
import type { SubscribeOptions, Subscription } from "../api/subscription.ts";

/** Records that lie further apart are not read over, but subscribed to anew. */
const RUN_GAP_MAX = 1_000;

/** Reads single records of a partition by their offsets, through ordinary subscriptions. */
export class OffsetReading {
  readonly #subscribe: (topic: string, options: SubscribeOptions) => Subscription;

  constructor(subscribe: (topic: string, options: SubscribeOptions) => Subscription) {
    this.#subscribe = subscribe;
  }

  /** Each record that is still there with the row that named it. `rows` ascend. */
  async read<R extends { readonly offset: number }>(
    topic: string,
    partition: number,
    rows: readonly R[],
    signal: AbortSignal | undefined,
  ): Promise<[ReceivedRecord, R][]> {
    const found: [ReceivedRecord, R][] = [];
    for (const run of runsOf(rows)) {
      const offset = run[0]?.offset ?? 0;
      const last = run.at(-1)?.offset ?? 0;
      const wanted = new Map(run.map((row) => [row.offset, row]));
      const options = { from: { offset, partition }, windowBytes: 1, untilEnd: true, signal };
      for await (const batch of this.#subscribe(topic, options).batches()) {
        const end = batch.baseOffset + batch.count;
        for (let at = Math.max(offset, batch.baseOffset); at < end; at += 1) {
          const row = wanted.get(at);
          const record = row === undefined ? undefined : batch.recordAt(at - batch.baseOffset);
          if (row !== undefined && record !== undefined) found.push([record, row]);
        }
        if (end > last) break;
      }
    }
    return found;
  }
}

/** Rows whose records lie close together. */
function runsOf<R extends { readonly offset: number }>(rows: readonly R[]): R[][] {
  const runs: R[][] = [];
  let previous = Number.NEGATIVE_INFINITY;
  for (const row of rows) {
    if (row.offset - previous > RUN_GAP_MAX) runs.push([]);
    runs.at(-1)?.push(row);
    previous = row.offset;
  }
  return runs;
}
