import { encodePeek, LIMITS, PEEK_STATE, type PeekedRecord } from "@millrace/protocol";
import type { ReceivedRecord } from "../api/record.ts";
import type { PeekedMessage, PeekedState, PeekOptions } from "../api/subscriptions.ts";
import type { RequestOptions, Topics } from "../api/topics.ts";
import type { RequestTable } from "../connection/request-table.ts";
import type { OffsetReading } from "./offset-reading.ts";

/** A topic's partitions, to be peeked into. */
export interface PeekTarget {
  readonly topic: string;
  /** "" for the ledger of a dead-letter topic, which is no subscription of a name. */
  readonly name: string;
  readonly limit: number;
  /** undefined: all, one after the other. */
  readonly partition: number | undefined;
  readonly fromOffset: number;
}

const LIMIT = 100;
const STATES: Readonly<Record<number, PeekedState>> = {
  [PEEK_STATE.AVAILABLE]: "available",
  [PEEK_STATE.LEASED]: "leased",
  [PEEK_STATE.WAITING]: "waiting",
};

/** Looks at what of a subscription is not finished, and reads it. */
export class Peeking {
  readonly #requests: RequestTable;
  readonly #topics: Topics;
  readonly #reading: OffsetReading;

  constructor(requests: RequestTable, topics: Topics, reading: OffsetReading) {
    this.#requests = requests;
    this.#topics = topics;
    this.#reading = reading;
  }

  async peek(topic: string, name: string, options: PeekOptions): Promise<PeekedMessage[]> {
    const { limit = LIMIT, partition, fromOffset = 0 } = options;
    const target = { topic, name, limit, partition, fromOffset };
    const found: PeekedMessage[] = [];
    for await (const { record, row } of this.records(target, options)) {
      const { state, deliveryCount, dueInMs } = row;
      found.push({ ...record, state: STATES[state] ?? "waiting", deliveryCount, dueInMs });
    }
    return found;
  }

  /** The unfinished records of a target, page by page, each with its content; what cannot be read any more is left out. */
  async *records(
    target: PeekTarget,
    options: RequestOptions,
  ): AsyncGenerator<{ readonly record: ReceivedRecord; readonly row: PeekedRecord }> {
    const { topic, name, fromOffset } = target;
    const optionsOfRequest = this.#requests.inTurn(options);
    const { topicId, partitions } = await this.#topics.describe(topic, optionsOfRequest());
    const all = target.partition === undefined ? [...Array(partitions).keys()] : [target.partition];
    let left = target.limit;
    for (const partition of all) {
      for (let from = fromOffset; left > 0; ) {
        const limit = Math.min(left, LIMITS.peekRecordsMax);
        const rows = await this.#page(topic, name, partition, from, limit, optionsOfRequest());
        left -= rows.length;
        for (const [record, row] of await this.#contentOf(topic, topicId, partition, rows, options)) {
          yield { record, row };
        }
        const last = rows.at(-1);
        // Redriven dead letters, of another topic, come in the same pages, all of them in the first.
        if (last === undefined || rows.length < limit) break;
        from = Math.max(from, last.offset + 1);
      }
    }
  }

  async #contentOf(
    topic: string,
    topicId: number,
    partition: number,
    rows: readonly PeekedRecord[],
    options: RequestOptions,
  ): Promise<[ReceivedRecord, PeekedRecord][]> {
    const own = rows.filter((row) => row.topicId === topicId);
    const others = rows.filter((row) => row.topicId !== topicId);
    const found = await this.#reading.read(topic, partition, own, options.signal);
    const redriven =
      others.length === 0
        ? []
        : await this.#reading.read(await this.#nameOf(others, options), partition, others, options.signal);
    return [...found, ...redriven];
  }

  /** The name of the topic that redriven dead letters are in. */
  async #nameOf(rows: readonly PeekedRecord[], options: RequestOptions): Promise<string> {
    const topics = await this.#topics.list(options);
    return topics.find(({ topicId }) => topicId === rows[0]?.topicId)?.name ?? "";
  }

  #page(
    topic: string,
    name: string,
    partition: number,
    fromOffset: number,
    limit: number,
    options: RequestOptions,
  ): Promise<readonly PeekedRecord[]> {
    const spec = {
      what: `a look at subscription ${name} of ${topic}`,
      isRepeatable: true,
      encode: (writer: Parameters<typeof encodePeek>[0], requestId: number): void =>
        encodePeek(writer, { requestId, topic, name, partition, fromOffset, limit }),
      answer: (value: unknown) => value as readonly PeekedRecord[],
    };
    return this.#requests.request(spec, options);
  }
}
