import { encodeRedrive, LIMITS, MillraceError, type RedriveRow } from "@millrace/protocol";
import type { DeadLetter, DeadLetters, ListDeadLettersOptions, RedriveOptions } from "../api/dead-letters.ts";
import type { ReceivedRecord } from "../api/record.ts";
import type { Subscriptions } from "../api/subscriptions.ts";
import type { RequestOptions, Topic, Topics } from "../api/topics.ts";
import type { RequestTable } from "../connection/request-table.ts";
import type { Peeking } from "./peeking.ts";

/** Headers that the broker gives a dead letter. */
const HEADER = {
  REASON: "millrace-dead-reason",
  DELIVERY_COUNT: "millrace-delivery-count",
  SUBSCRIPTION: "millrace-subscription",
  DEAD_TIME: "millrace-dead-time",
  ORIGIN_TOPIC: "millrace-origin-topic",
  ORIGIN_PARTITION: "millrace-origin-partition",
  ORIGIN_OFFSET: "millrace-origin-offset",
} as const;

const LIMIT = 100;

/** The dead letters of a topic, through its dead-letter topic. */
export class BrokerDeadLetters implements DeadLetters {
  readonly #requests: RequestTable;
  readonly #topics: Topics;
  readonly #subscriptions: Subscriptions;
  readonly #peeking: Peeking;

  constructor(requests: RequestTable, topics: Topics, subscriptions: Subscriptions, peeking: Peeking) {
    this.#requests = requests;
    this.#topics = topics;
    this.#subscriptions = subscriptions;
    this.#peeking = peeking;
  }

  async list(topic: string, options: ListDeadLettersOptions = {}): Promise<DeadLetter[]> {
    const { limit = LIMIT, subscription } = options;
    const found: DeadLetter[] = [];
    if (limit <= 0) return found;
    for await (const letter of this.#letters(await this.#topicOf(topic, options), options)) {
      if (subscription !== undefined && letter.subscription !== subscription) continue;
      found.push(letter);
      if (found.length >= limit) break;
    }
    return found;
  }

  async redrive(topic: string, options: RedriveOptions = {}): Promise<number> {
    const { subscription, select } = options;
    const deadLetterTopic = await this.#topicOf(topic, options);
    if (deadLetterTopic === undefined) return 0;
    let rows: RedriveRow[] = [];
    let count = 0;
    let takers: ReadonlySet<string> | undefined;
    const send = async (): Promise<void> => {
      const page = rows;
      rows = [];
      if (page.length > 0) count += await this.#redrive(deadLetterTopic, page, options);
    };
    for await (const letter of this.#letters(deadLetterTopic, options)) {
      if (subscription !== undefined && letter.subscription !== subscription) continue;
      if (select !== undefined && !select(letter)) continue;
      takers ??= await this.#takersOf(letter.origin.topic, options);
      if (!takers.has(letter.subscription)) continue;
      rows.push({ partition: letter.partition, offset: letter.offset, subscription: letter.subscription });
      if (rows.length >= LIMITS.redriveRecordsMax) await send();
    }
    await send();
    return count;
  }

  /** Those that were not redriven. */
  async *#letters(deadLetterTopic: string | undefined, options: RequestOptions): AsyncGenerator<DeadLetter> {
    if (deadLetterTopic === undefined) return;
    const limit = Number.POSITIVE_INFINITY;
    const target = { topic: deadLetterTopic, name: "", limit, partition: undefined, fromOffset: 0 };
    for await (const { record } of this.#peeking.records(target, options)) {
      const letter = letterOf(record);
      if (letter !== undefined) yield letter;
    }
  }

  /** The dead-letter topic of a topic, which may be one itself; undefined while there is none. */
  async #topicOf(topic: string, options: RequestOptions): Promise<string | undefined> {
    const optionsOfRequest = this.#requests.inTurn(options);
    const { topicId, deadLetterOf } = await this.#topics.describe(topic, optionsOfRequest());
    if (deadLetterOf !== undefined) return topic;
    const isIts = (other: Topic): boolean => other.deadLetterOf === topicId;
    const usual = `${topic}.dlq`;
    try {
      if (isIts(await this.#topics.describe(usual, optionsOfRequest()))) return usual;
    } catch (error) {
      if (!(error instanceof MillraceError) || !NO_TOPIC.has(error.code)) throw error;
    }
    // An ordinary topic has that name, or the source's name leaves no room for it.
    return (await this.#topics.list(optionsOfRequest())).find(isIts)?.name;
  }

  /** Names of the subscriptions that can take dead letters back: all but those that were deleted since. */
  async #takersOf(origin: string, options: RequestOptions): Promise<ReadonlySet<string>> {
    const all = await this.#subscriptions.list(origin, options);
    return new Set(all.filter(({ mode }) => mode !== "stream").map(({ name }) => name));
  }

  #redrive(topic: string, rows: readonly RedriveRow[], options: RequestOptions): Promise<number> {
    const spec = {
      what: `the redrive of dead letters of ${topic}`,
      isRepeatable: true,
      encode: (writer: Parameters<typeof encodeRedrive>[0], requestId: number): void =>
        encodeRedrive(writer, { requestId, topic, rows }),
      answer: (value: unknown) => value as number,
    };
    return this.#requests.request(spec, options);
  }
}

const NO_TOPIC: ReadonlySet<string> = new Set(["UNKNOWN_TOPIC", "INVALID_TOPIC_NAME"]);

/** undefined: it is a record that somebody published to that topic. */
function letterOf(record: ReceivedRecord): DeadLetter | undefined {
  const header = (name: string): string | undefined => {
    const value = record.headers?.[name];
    return typeof value === "string" ? value : undefined;
  };
  const topic = header(HEADER.ORIGIN_TOPIC);
  const subscription = header(HEADER.SUBSCRIPTION);
  if (topic === undefined || subscription === undefined) return undefined;
  const partition = Number(header(HEADER.ORIGIN_PARTITION));
  const offset = Number(header(HEADER.ORIGIN_OFFSET));
  return {
    ...record,
    origin: { topic, partition, offset },
    subscription,
    reason: header(HEADER.REASON) ?? "",
    deliveryCount: Number(header(HEADER.DELIVERY_COUNT)),
    deadMs: Number(header(HEADER.DEAD_TIME)),
  };
}
