import { BrokerSession } from "../../wire/broker-session.ts";
import { buildPublishBlock, type PublishBlock } from "../../wire/publish-block.ts";
import { PublishLoad } from "../../wire/publish-load.ts";

/** What is published, to which topic. */
export interface PublishedLoad {
  readonly url: string;
  /** Published to in turn, a batch each. */
  readonly topics: readonly string[];
  readonly durability: string;
  readonly valueBytes: number;
  readonly batchBytes: number;
  readonly keys?: number | undefined;
  /** Records that the consumer may be behind: a queue that grows without bound would be read from the disk. */
  readonly windowRecords: number;
}

export interface WindowedPublisher {
  readonly block: PublishBlock;
  readonly load: PublishLoad;
  /** Records acknowledged by the broker. */
  published(): number;
}

const BLOCK_BYTES = 1024 * 1024;
/** Topics that are made at a time. */
const REQUESTS_AT_ONCE = 64;

/** Makes the topics, with one partition each, and publishes as fast as the broker's credit and the consumer allow, once the load is started. */
export async function openPublisher(
  spec: PublishedLoad,
  consumed: () => number,
  onFailure: (error: Error) => void,
): Promise<WindowedPublisher> {
  let creditRequested = false;
  let sentRecords = 0;
  const session = await BrokerSession.open(spec.url, "bench-publisher", {
    onAck: (records) => {
      creditRequested = false;
      load.answered(records / block.recordsPerFrame);
    },
    onThrottled: (records, retryAfterMs) => {
      sentRecords -= records;
      load.throttled(records / block.recordsPerFrame, retryAfterMs);
    },
    onEntry: () => undefined,
    onDelivered: () => undefined,
    onFailure,
  });
  const { valueBytes, batchBytes, keys, topics, durability } = spec;
  const topicIds: number[] = [];
  for (let at = 0; at < topics.length; at += REQUESTS_AT_ONCE) {
    const some = topics.slice(at, at + REQUESTS_AT_ONCE);
    topicIds.push(...(await Promise.all(some.map((topic) => session.createTopic(topic, durability)))));
  }
  const block = buildPublishBlock({ valueBytes, batchBytes, keys, topicIds }, BLOCK_BYTES);
  const room = (): number => session.publishCreditLimit - session.publishedBytes;
  // Ahead of need: with little credit the load would write little, wait for its acks, and never be out of credit.
  const askForCredit = (): void => {
    if (creditRequested || room() >= BLOCK_BYTES) return;
    creditRequested = true;
    session.requestCredit(BLOCK_BYTES);
  };
  const load = new PublishLoad(block, {
    room: () => {
      const windowFrames = (spec.windowRecords + consumed() - sentRecords) / block.recordsPerFrame;
      return Math.min(room(), windowFrames * block.frameBytes);
    },
    starved: askForCredit,
    write: (bytes, frames, onWritten) => {
      session.publishedBytes += frames * block.frameBytes;
      sentRecords += frames * block.recordsPerFrame;
      session.write(bytes, onWritten);
      askForCredit();
    },
  });
  return { block, load, published: () => load.mark().records };
}
