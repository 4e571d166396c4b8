import { JOURNAL_LIMITS } from "../limits.ts";

/** Bytes by topic, of a segment or of a stretch that is settled. */
export class TopicTally {
  /** Of all topics together. */
  bytes = 0;
  private largestBytes = 0;
  private readonly topics: Map<number, number> = new Map();

  add(topicId: number, bytes: number): void {
    const topicBytes = this.bytesOf(topicId) + bytes;
    this.topics.set(topicId, topicBytes);
    this.bytes += bytes;
    if (topicBytes > this.largestBytes) this.largestBytes = topicBytes;
  }

  bytesOf(topicId: number): number {
    return this.topics.get(topicId) ?? 0;
  }

  /**
   * One topic has (nearly) all of it, so that a file of it gives its space back when that topic goes. Below that it pays to
   * copy: to set apart the others costs at most a write of `1 / adoptOtherTopicsShareMax` bytes for each byte of theirs.
   */
  get isOfOneTopic(): boolean {
    return this.bytes - this.largestBytes <= this.bytes * JOURNAL_LIMITS.adoptOtherTopicsShareMax;
  }

  /** Whether a topic has so much of it that sorting gives it files of its own. */
  isLarge(topicId: number): boolean {
    const { settledTopicBytesMin, settledTopicPart } = JOURNAL_LIMITS;
    return this.bytesOf(topicId) >= Math.max(settledTopicBytesMin, this.bytes * settledTopicPart);
  }
}
