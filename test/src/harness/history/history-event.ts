// What the processes of a load write down, one JSON object a line, and what the checker reads. Nothing here, and nothing in
// the checker, knows of the broker's own code: a history can be judged by whoever can read JSON.

/** Of the machine, not of a process: microseconds that all processes count alike. */
export interface Stamped {
  readonly at: number;
}

/** A topic, before anything is published to it. */
export interface TopicEvent extends Stamped {
  readonly what: "topic";
  readonly topic: string;
  readonly partitions: number;
  readonly durability: "memory" | "written" | "fsynced";
}

/** A durable subscription, before anything is published to its topic. It starts at the beginning. */
export interface SubscriptionEvent extends Stamped {
  readonly what: "subscription";
  readonly topic: string;
  readonly subscription: string;
  readonly mode: "stream" | "queue" | "keyed";
}

/** One record by its names: the n-th of its producer, from 0. */
export interface RecordName {
  readonly producer: string;
  readonly number: number;
}

/** Where a record is. */
export interface Place {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** What a record holds. `digest` is of its key and its whole value. */
export interface Content extends RecordName {
  readonly key: string | null;
  readonly digest: string;
}

/** A producer was given the record. */
export interface SentEvent extends Stamped, Content {
  readonly what: "sent";
  readonly topic: string;
}

/** It was acknowledged. Offset -1: stored by an earlier attempt, long ago. */
export interface AckedEvent extends Stamped, RecordName, Place {
  readonly what: "acked";
}

/** It was given up: stored or not. */
export interface FailedEvent extends Stamped, RecordName {
  readonly what: "failed";
  readonly topic: string;
  readonly code: string;
}

/**
 * A reader is to have the partition from that offset on. Whoever reads for himself (without `subscription`) has each partition
 * once; a member of a stream subscription again and again.
 */
export interface StartEvent extends Stamped, Place {
  readonly what: "start";
  readonly reader: string;
  readonly subscription: string | null;
  /** It reads everything that is stored, after the end of the load: the truth about the log. */
  readonly isFinal: boolean;
}

/** The reader was given a record. */
export interface ReadEvent extends Stamped, Place, Content {
  readonly what: "read";
  readonly reader: string;
}

/** The reader was told that it goes on at `toOffset`. */
export interface GapEvent extends Stamped {
  readonly what: "gap";
  readonly reader: string;
  readonly topic: string;
  readonly partition: number;
  readonly fromOffset: number;
  readonly toOffset: number;
  readonly reason: string;
}

/** The cursor of the reader's subscription is at `offset` or further on: this was confirmed. */
export interface CommittedEvent extends Stamped, Place {
  readonly what: "committed";
  readonly reader: string;
  readonly subscription: string;
}

/** Of one lease of a shard. The epoch is of a life of the shard: later lives have greater ones. The counter only tells leases apart. */
export interface LeaseName {
  readonly epoch: number;
  readonly counter: number;
}

/** A worker of a queue was given a message. */
export interface LeasedEvent extends Stamped, Place, Content, LeaseName {
  readonly what: "leased";
  readonly worker: string;
  readonly subscription: string;
  readonly deliveryCount: number;
}

/** The worker said what is to become of it. */
export interface SettleEvent extends Stamped, Place, LeaseName {
  readonly what: "settle";
  readonly worker: string;
  readonly subscription: string;
  readonly action: "ack" | "nack" | "release";
}

/** It was confirmed (`done`), refused, or it is not known (any other code, such as CONNECTION_LOST). */
export interface SettledEvent extends Stamped, Place, LeaseName {
  readonly what: "settled";
  readonly worker: string;
  readonly subscription: string;
  readonly action: "ack" | "nack" | "release";
  readonly outcome: "done" | "LEASE_EXPIRED" | (string & {});
}

/** Something was done to a process of the broker. */
export interface ChaosEvent extends Stamped {
  readonly what: "chaos";
  readonly action: string;
  readonly target: string;
}

/** A process noticed something that must not be. */
export interface ProblemEvent extends Stamped {
  readonly what: "problem";
  readonly text: string;
}

export type HistoryEvent =
  | TopicEvent
  | SubscriptionEvent
  | SentEvent
  | AckedEvent
  | FailedEvent
  | StartEvent
  | ReadEvent
  | GapEvent
  | CommittedEvent
  | LeasedEvent
  | SettleEvent
  | SettledEvent
  | ChaosEvent
  | ProblemEvent;

type WithoutTime<Event> = Event extends Stamped ? Omit<Event, "at"> : never;

/** An event as it is written down; the writer adds the time. */
export type NewEvent = WithoutTime<HistoryEvent>;
