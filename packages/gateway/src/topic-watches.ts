import type { GatewayPort, Topic } from "@millrace/broker/internal";
import {
  encodeTopicsChanged,
  type FrameWriter,
  isValidTopicName,
  LIMITS,
  MillraceError,
  TopicPattern,
  type UnwatchTopicsFrame,
  type WatchTopicsFrame,
} from "@millrace/protocol";
import type { Clock } from "./clock.ts";
import { GATEWAY_LIMITS } from "./limits.ts";
import type { Session } from "./session.ts";
import { topicInfo } from "./topic-requests.ts";

/** A client's wish to know which topics have names of a pattern, now and later. */
export interface TopicWatch {
  readonly session: Session;
  readonly watchId: number;
  readonly pattern: TopicPattern;
  /** What it has not been told of yet: the topic as it is now, undefined when it was deleted; by name. */
  changes: Map<string, Topic | undefined>;
}

/** Tells clients of the topics that match what they watch. Changes of one turn of the event loop go out together. */
export class TopicWatches {
  readonly #port: GatewayPort;
  readonly #writer: FrameWriter;
  readonly #clock: Clock;
  readonly #watches: Set<TopicWatch> = new Set();
  #dirty: Set<TopicWatch> = new Set();
  #flushPlanned = false;

  constructor(port: GatewayPort, writer: FrameWriter, clock: Clock) {
    this.#port = port;
    this.#writer = writer;
    this.#clock = clock;
  }

  watch(session: Session, frame: WatchTopicsFrame): void {
    const { requestId, watchId } = frame;
    const pattern = TopicPattern.parse(frame.pattern);
    if (session.watches?.has(watchId)) {
      throw new MillraceError("SUBSCRIPTION_EXISTS", `there is a watch ${watchId} already`, {
        details: { watchId },
      });
    }
    if ((session.watches?.size ?? 0) >= LIMITS.watchesPerSessionMax) {
      throw new MillraceError("TOO_MANY_SUBSCRIPTIONS", "the session watches too many patterns", {
        details: { watchId, watchesPerSessionMax: LIMITS.watchesPerSessionMax },
      });
    }
    const watch: TopicWatch = { session, watchId, pattern, changes: new Map() };
    session.watches ??= new Map();
    session.watches.set(watchId, watch);
    this.#watches.add(watch);
    this.#send(watch, this.#matching(pattern), [], requestId);
  }

  /** Nothing for one that does not exist: it is not answered. */
  unwatch(session: Session, { watchId }: UnwatchTopicsFrame): void {
    const watch = session.watches?.get(watchId);
    if (watch === undefined) return;
    session.watches?.delete(watchId);
    this.#watches.delete(watch);
    this.#dirty.delete(watch);
  }

  /** It was created, or altered. */
  onTopicChanged(topic: Topic): void {
    this.#changed(topic.name, topic);
  }

  onTopicDeleted(topic: Topic): void {
    this.#changed(topic.name, undefined);
  }

  /** The session's socket has room again. */
  onWritable(session: Session): void {
    for (const watch of session.watches?.values() ?? []) {
      if (watch.changes.size > 0) this.#flushWatch(watch);
    }
  }

  onSessionClosed(session: Session): void {
    for (const watch of session.watches?.values() ?? []) {
      this.#watches.delete(watch);
      this.#dirty.delete(watch);
    }
    session.watches = undefined;
  }

  #matching(pattern: TopicPattern): Topic[] {
    if (!pattern.hasWildcard) {
      const topic = this.#port.topicByName(pattern.text);
      return topic === undefined ? [] : [topic];
    }
    const topics: Topic[] = [];
    for (const topic of this.#port.topics()) {
      if (isValidTopicName(topic.name) && pattern.matches(topic.name)) topics.push(topic);
    }
    return topics.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #changed(name: string, topic: Topic | undefined): void {
    if (this.#watches.size === 0 || !isValidTopicName(name)) return;
    for (const watch of this.#watches) {
      if (!watch.pattern.matches(name)) continue;
      watch.changes.set(name, topic);
      this.#dirty.add(watch);
    }
    if (this.#flushPlanned || this.#dirty.size === 0) return;
    this.#flushPlanned = true;
    this.#clock.soon(() => {
      this.#flushPlanned = false;
      const dirty = this.#dirty;
      this.#dirty = new Set();
      for (const watch of dirty) this.#flushWatch(watch);
    });
  }

  #flushWatch(watch: TopicWatch): void {
    const { session, changes } = watch;
    if (!session.canSend()) {
      if (changes.size > GATEWAY_LIMITS.watchChangesMax) {
        session.abort("TOO_MANY_REQUESTS", "the client watches topics without reading what changes");
      }
      return;
    }
    watch.changes = new Map();
    const topics: Topic[] = [];
    const removed: string[] = [];
    for (const [name, topic] of changes) {
      if (topic === undefined) removed.push(name);
      else topics.push(topic);
    }
    this.#send(watch, topics, removed, undefined);
  }

  /** In pages; the last one has the requestId. */
  #send(
    watch: TopicWatch,
    topics: readonly Topic[],
    removed: readonly string[],
    requestId: number | undefined,
  ): void {
    const { session, watchId } = watch;
    const most = Math.max(topics.length, removed.length, 1);
    for (let start = 0; start < most; start += LIMITS.topicsPerPageMax) {
      const end = start + LIMITS.topicsPerPageMax;
      this.#writer.reset();
      encodeTopicsChanged(this.#writer, {
        requestId: end >= most ? requestId : undefined,
        watchId,
        topics: topics.slice(start, end).map(topicInfo),
        removed: removed.slice(start, end),
      });
      if (!session.sendWritten()) return;
    }
  }
}
