/** Publishes to one topic, at a pace. */
export interface PublisherPlan {
  readonly role: "publisher";
  readonly name: string;
  readonly topic: string;
  readonly partitions: number;
  /** Records have one of so many keys, and one in eight none; 0: no keys, and partitions are chosen by the publisher. */
  readonly keys: number;
  /** On average. */
  readonly recordsPerSecond: number;
  readonly valueBytesMax: number;
}

/** Reads a topic by itself, from its beginning. */
export interface FollowerPlan {
  readonly role: "follower";
  readonly name: string;
  readonly topic: string;
}

/** A member of a stream subscription, which commits what it has handled. */
export interface MemberPlan {
  readonly role: "member";
  readonly name: string;
  readonly topic: string;
  readonly subscription: string;
}

/** Consumes a subscription of mode `queue` or `keyed`: acks nearly everything, nacks and releases the rest. */
export interface WorkerPlan {
  readonly role: "worker";
  readonly name: string;
  readonly topic: string;
  readonly subscription: string;
  readonly mode: "queue" | "keyed";
  /** Messages that it works on at once. */
  readonly concurrency: number;
}

/** Reads topics to their ends and is done. */
export interface FinalReaderPlan {
  readonly role: "final-reader";
  readonly name: string;
  readonly topics: readonly string[];
}

export type RolePlan = PublisherPlan | FollowerPlan | MemberPlan | WorkerPlan | FinalReaderPlan;

/** What one process of a load does. Each role has a client of its own. */
export interface LoadPlan {
  readonly url: string;
  /** Of its history. */
  readonly path: string;
  readonly seed: number;
  readonly roles: readonly RolePlan[];
}
