import { AckLedger, LeaseTable, QueueState } from "@millrace/broker/internal";
import { spreadOf } from "@millrace/load/internal";
import type { BenchRow, RowOutcome } from "../harness/bench-row.ts";
import { formatSpread } from "../harness/terminal.ts";
import type { LimitContext } from "../limits/limit-context.ts";

const LEASED = 500_000;
const LEASED_BYTES_MAX = 64;
const CONSUMERS = 8;
const MESSAGES = 10_000_000;
const RUN = 32;
/** How far a queue is walked beyond its oldest unfinished record, in the row about order. */
const SPAN = 1_000_000;

/** Of the broker's own tables, in this process. */
export const engineRows: readonly BenchRow<LimitContext>[] = [
  {
    name: "leased-memory",
    description: "bytes of the broker's tables a message, 500,000 leased one by one, against 64",
    target: 1,
    sense: "at-most",
    run: () => Promise.resolve(leasedMemory()),
  },
  {
    name: "out-of-order-memory",
    description:
      "most bytes of a queue's tables a message acked out of order, 10 million, every other one acked first",
    target: 1,
    sense: "at-most",
    run: () => Promise.resolve(outOfOrderMemory()),
  },
  {
    name: "checkpoint-ledger",
    description: "ms to encode 1 M messages acked out of order for a checkpoint, against 5",
    target: 1,
    sense: "at-most",
    run: (context) => Promise.resolve(encodedLedger(context)),
  },
];

function leasedMemory(): RowOutcome {
  const leases = new LeaseTable(LEASED);
  const queue = new QueueState({ keyed: false, start: 0 });
  for (let i = 0; i < LEASED; i++) {
    const offset = queue.next(0, LEASED);
    if (queue.take(offset, 1, undefined) !== 1) throw new Error(`not given: offset=${offset}`);
    if (leases.grant(0, 1 + (i % CONSUMERS), offset, 1, 1, 30_000 + i) < 0)
      throw new Error("the table is full");
  }
  const bytes = leases.byteSize + queue.byteSize;
  const perMessage = bytes / LEASED;
  return {
    ratio: perMessage / LEASED_BYTES_MAX,
    counts: true,
    raw: { unit: "bytes", leases: leases.byteSize, queue: queue.byteSize },
    details: [
      `${perMessage.toFixed(1)} B a message; less where a lease covers several, as it does up to ${RUN}`,
    ],
  };
}

/** Runs are taken in order; of each the odd records are acked at once, the even ones when the span's end is reached. */
function outOfOrderMemory(): RowOutcome {
  const queue = new QueueState({ keyed: false, start: 0 });
  const tenths: number[] = [];
  let mostBytes = 0;
  let mostPerMessage = 0;
  let evens = 0;
  for (let taken = 0; taken < MESSAGES; ) {
    const offset = queue.next(0, MESSAGES);
    const count = queue.take(offset, RUN, undefined);
    if (count === 0) throw new Error(`not given: offset=${offset}`);
    for (let at = offset | 1; at < offset + count; at += 2) queue.ack(at, 1);
    taken += count;
    for (; taken - evens >= SPAN; evens += 2) queue.ack(evens, 1);
    if (taken % (MESSAGES / 100) < RUN) {
      mostBytes = Math.max(mostBytes, queue.byteSize);
      mostPerMessage = Math.max(mostPerMessage, queue.byteSize / ((taken - evens) / 2));
    }
    if (taken % (MESSAGES / 10) < RUN) tenths.push(queue.byteSize);
  }
  const growth = (tenths.at(-1) ?? 0) / (tenths[1] ?? 1);
  return {
    ratio: mostPerMessage,
    counts: growth <= 1.1,
    raw: { unit: "bytes", tenths, mostBytes },
    details: [
      `${mostPerMessage.toFixed(3)} B a message acked out of order at most, ${(mostBytes / 1024).toFixed(0)} KiB in all; ` +
        `after 10 M messages ${growth.toFixed(2)} times as much as after 2 M`,
    ],
  };
}

function encodedLedger({ plan }: LimitContext): RowOutcome {
  const ledger = new AckLedger(0);
  for (let offset = 1; offset < 2_000_000; offset += 2) ledger.finish(offset, 1);
  const times: number[] = [];
  let bytes = 0;
  for (let round = 0; round < plan.rounds * 4; round++) {
    const from = process.hrtime.bigint();
    bytes = ledger.encode().length;
    times.push(Number(process.hrtime.bigint() - from) / 1e6);
  }
  const spread = spreadOf(times);
  return {
    ratio: spread.median / 5,
    counts: true,
    raw: { unit: "ms", times, bytes },
    details: [`${formatSpread(spread, 1, "ms")}; ${bytes} bytes`],
  };
}
