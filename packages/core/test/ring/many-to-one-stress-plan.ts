/** Words that the threads of one stress test share beside the ring. */
export const Signal = {
  /** Gate at the start. */
  GATE: 0,
  /** The consumer wants all producers to stand still between two records; each says when it does. */
  PAUSE: 1,
  PAUSED: 2,
  /** Payload index of the claim that a producer died with, or one of those below. */
  DEAD: 3,
  /** Where producers and the consumer nap when there is nothing to do; never changes. */
  NAP: 4,
  /** Producers that will write until their last record. */
  LIVING: 5,
  WORDS: 6,
} as const;

/** Nobody is dead. */
export const NOBODY = 0;
/** Somebody is dead, and nobody knows what it left. */
export const UNKNOWN = -1;

/** How a producer is to die, in the record numbered `dieAt`. */
export type Death = "inside the claim" | "before the claim's header" | "anywhere";

export interface ManyToOneWorkerData {
  readonly role: "producer" | "consumer";
  readonly ring: SharedArrayBuffer;
  readonly signals: SharedArrayBuffer;
  readonly parties: number;
  readonly producers: number;
  /** Records of each producer. */
  readonly count: number;
  readonly lengthMax: number;
  readonly seed: number;
  readonly which: number;
  /** First record of this producer: a new one goes on where a dead one ended. */
  readonly first: number;
  readonly dieAt?: number;
  readonly death?: Death;
}

export type ManyToOneMessage =
  /** A producer is to be terminated; it holds the claim whose payload is at `index`, or does not know. */
  | { readonly kind: "dying"; readonly index: number }
  /** The ring is clear again; the dead producer's successor starts with this record. */
  | { readonly kind: "recovered"; readonly next: number }
  | { readonly kind: "done"; readonly counts: Readonly<Record<string, number>> }
  | { readonly kind: "failed"; readonly text: string };
