import {
  encodeAlterTopic,
  encodeCreateTopic,
  encodeDeleteTopic,
  encodeDescribeTopic,
  encodeListTopics,
  encodeTruncateTopic,
  MillraceError,
  type TopicInfo,
  type TopicsFrame,
} from "@millrace/protocol";
import type {
  RequestOptions,
  Topic,
  TopicChanges,
  TopicConfig,
  TopicDescription,
  Topics,
  TruncatedPartition,
  Truncation,
} from "../api/topics.ts";
import type { RequestTable } from "../connection/request-table.ts";
import { stated } from "./stated.ts";
import { truncateBeforeOf } from "./truncate-before.ts";

/** Topic administration over the requests of a client. */
export class BrokerTopics implements Topics {
  readonly #requests: RequestTable;

  constructor(requests: RequestTable) {
    this.#requests = requests;
  }

  create(name: string, config: TopicConfig = {}, options?: RequestOptions): Promise<Topic> {
    const encode: Encode = (writer, requestId) =>
      encodeCreateTopic(writer, { requestId, name, config: { ...config } });
    const what = `the creation of topic ${name}`;
    return this.#requests.request({ what, isRepeatable: false, encode, answer: toTopic }, options);
  }

  async list(options?: RequestOptions): Promise<Topic[]> {
    const optionsOfPage = this.#requests.inTurn(options);
    const topics: Topic[] = [];
    for (let after: string | undefined; ; ) {
      const page = await this.#page(after, optionsOfPage());
      for (const topic of page.topics) topics.push(toTopic(topic));
      if (!page.more) return topics;
      const last = page.topics.at(-1)?.name;
      // Asked again after such a page, the broker could go on for ever.
      if (last === undefined || (after !== undefined && last <= after)) {
        throw new MillraceError("MALFORMED_FRAME", "the broker's list of topics does not go on");
      }
      after = last;
    }
  }

  describe(name: string, options?: RequestOptions): Promise<TopicDescription> {
    const encode: Encode = (writer, requestId) => encodeDescribeTopic(writer, { requestId, topic: name });
    const what = `the description of topic ${name}`;
    return this.#requests.request({ what, isRepeatable: true, encode, answer: toDescription }, options);
  }

  alter(name: string, changes: TopicChanges, options?: RequestOptions): Promise<Topic> {
    const encode: Encode = (writer, requestId) =>
      encodeAlterTopic(writer, { requestId, topic: name, config: stated({ ...changes }) });
    const what = `the change of topic ${name}`;
    return this.#requests.request({ what, isRepeatable: true, encode, answer: toTopic }, options);
  }

  async truncate(
    name: string,
    truncation: Truncation,
    options?: RequestOptions,
  ): Promise<TruncatedPartition[]> {
    const { partitions } = truncation;
    const before = truncateBeforeOf(truncation.before);
    const encode: Encode = (writer, requestId) =>
      encodeTruncateTopic(writer, { requestId, topic: name, partitions, before });
    const what = `the truncation of topic ${name}`;
    // Repeated, "latest" would be a later one.
    const isRepeatable = before.kind !== "latest";
    const answer = (value: unknown): TruncatedPartition[] => value as TruncatedPartition[];
    return this.#requests.request({ what, isRepeatable, encode, answer }, options);
  }

  delete(name: string, options?: RequestOptions): Promise<void> {
    const encode: Encode = (writer, requestId) => encodeDeleteTopic(writer, { requestId, topic: name });
    const what = `the deletion of topic ${name}`;
    return this.#requests.request({ what, isRepeatable: false, encode, answer: () => undefined }, options);
  }

  #page(after: string | undefined, options: RequestOptions): Promise<TopicsFrame> {
    const encode: Encode = (writer, requestId) => encodeListTopics(writer, { requestId, after });
    const what = after === undefined ? "the list of topics" : "the rest of the list of topics";
    const answer = (page: unknown): TopicsFrame => page as TopicsFrame;
    return this.#requests.request({ what, isRepeatable: true, encode, answer }, options);
  }
}

type Encode = Parameters<RequestTable["request"]>[0]["encode"];

function toTopic(value: unknown): Topic {
  const { partitionInfo: _partitionInfo, owners: _owners, ...topic } = value as TopicInfo;
  return topic;
}

function toDescription(value: unknown): TopicDescription {
  const topic = value as TopicInfo;
  return { ...topic, partitionInfo: topic.partitionInfo ?? [] };
}
