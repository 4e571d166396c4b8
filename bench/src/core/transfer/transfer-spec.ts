/** What can carry records from producers to a consumer. */
export type Carrier =
  | "ring-write"
  | "ring-claim"
  | "many-to-one"
  | "ringbuf-record"
  | "ringbuf-batch"
  | "ringbuf-callback"
  | "ringbuf-float64"
  | "post-message"
  | "copy-loop";

/** One sample: who carries what, and for how long. */
export interface TransferSpec {
  readonly carrier: Carrier;
  /** Payload; a multiple of 64. */
  readonly recordBytes: number;
  /** Records that are made visible together. */
  readonly batchRecords: number;
  /** Of the queue's data. */
  readonly capacityBytes: number;
  readonly producers: number;
  /** How a side waits: "spin" asks again and again, "yield" gives the core away after a while. */
  readonly waiting: "spin" | "yield";
  readonly warmUpMs: number;
  readonly durationMs: number;
  /** copy-loop only: see copy-loop.ts. */
  readonly copy?: CopyVariant;
}

export interface CopyVariant {
  /** "apart": head and tail 128 bytes from each other; "adjacent": in one line of 64. */
  readonly lines: "apart" | "adjacent";
  /** Whether each side remembers the other's position until it runs out of space or records. */
  readonly caches: boolean;
  /** How the payload is copied. */
  readonly kernel: "straight" | "set" | "fill";
  /** Bytes by which the source misses an 8-byte boundary. */
  readonly shiftBytes: number;
}

/** What the consumer saw in the measured window. */
export interface TransferResult {
  readonly records: number;
  readonly milliseconds: number;
}

/** Handed to the workers of a sample. */
export interface TransferSetup {
  readonly spec: TransferSpec;
  /** The words of transfer-control.ts. */
  readonly control: SharedArrayBuffer;
  /** The queue. */
  readonly memory: SharedArrayBuffer;
  /** Where the carrier is a port. */
  readonly port?: import("node:worker_threads").MessagePort;
  readonly producer: number;
}

/** Sends records `first` to `first + count - 1`, waits while the queue is full, and leaves nothing unpublished. */
export type Send = (first: number, count: number) => void;

/** Takes what is there, checks it, and returns the number of records; 0 when there was nothing. */
export type Receive = () => number;

/** The two sides of a carrier, each built in the thread that uses it. */
export interface CarrierSides {
  allocate(spec: TransferSpec): SharedArrayBuffer;
  producer(setup: TransferSetup): Send;
  consumer(setup: TransferSetup): Receive;
}
