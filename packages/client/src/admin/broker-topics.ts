import {
  encodeCreateTopic,
  encodeDeleteTopic,
  encodeDescribeTopic,
  encodeListTopics,
  type TopicInfo,
} from "@millrace/protocol";
import type { RequestOptions, Topic, TopicConfig, TopicDescription, Topics } from "../api/topics.ts";
import type { RequestTable } from "../connection/request-table.ts";

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

  list(options?: RequestOptions): Promise<Topic[]> {
    const encode: Encode = (writer, requestId) => encodeListTopics(writer, { requestId });
    const answer = (topics: unknown): Topic[] => (topics as TopicInfo[]).map(toTopic);
    return this.#requests.request(
      { what: "the list of topics", isRepeatable: true, encode, answer },
      options,
    );
  }

  describe(name: string, options?: RequestOptions): Promise<TopicDescription> {
    const encode: Encode = (writer, requestId) => encodeDescribeTopic(writer, { requestId, topic: name });
    const what = `the description of topic ${name}`;
    return this.#requests.request({ what, isRepeatable: true, encode, answer: toDescription }, options);
  }

  delete(name: string, options?: RequestOptions): Promise<void> {
    const encode: Encode = (writer, requestId) => encodeDeleteTopic(writer, { requestId, topic: name });
    const what = `the deletion of topic ${name}`;
    return this.#requests.request({ what, isRepeatable: false, encode, answer: () => undefined }, options);
  }
}

type Encode = Parameters<RequestTable["request"]>[0]["encode"];

function toTopic(value: unknown): Topic {
  const { partitionInfo: _, ...topic } = value as TopicInfo;
  return topic;
}

function toDescription(value: unknown): TopicDescription {
  const topic = value as TopicInfo;
  return { ...topic, partitionInfo: topic.partitionInfo ?? [] };
}
