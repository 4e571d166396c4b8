import { LIMITS } from "@millrace/protocol";

/** Every bound of the gateway that is not part of the protocol; those that depend on each other are asserted below. */
export const GATEWAY_LIMITS = {
  /** Sessions of one gateway, those that have not said HELLO included. */
  sessionsMax: 20_000,
  /** Twice the frame limit. uWebSockets.js closes with a bare 1006 past this; our own check below it answers FRAME_TOO_LARGE. */
  messageBytesMax: 4_192_256,
  /** A socket with more unsent bytes gets no deliveries and no acks until it drains. */
  outputHighWaterBytes: 8_388_608,
  /** Unsent bytes from which even answers to requests stop: the session is closed instead. */
  outputBytesMax: 12_582_912,
  /** Past this uWebSockets.js would drop a frame. Never reached: see the assertions. */
  backpressureBytesMax: 16_777_216,
  /** Unsent bytes of all sockets: past this the high-water mark sinks, past twice as many the worst are closed. */
  outputTotalBytesMax: 134_217_728,
  /** High-water mark of a socket while the total is past its bound. */
  outputHighWaterTightBytes: 65_536,
  /** Seconds without a byte in either direction after which uWebSockets.js closes a socket: above deadAfterMs. */
  socketIdleSeconds: 60,
  /** One answer to a read, unless a single batch is larger. */
  readBytesMax: 262_144,
  /** The same for a subscription with one stream; those with few share it. */
  readAloneBytesMax: 1_572_864,
  /** The same while the unsent bytes of all sockets are past their bound. */
  readTightBytesMax: 32_768,
  /**
   * A session's publish window, of which what a shard has not answered is a part, doubles while it is active, up to this: what
   * a shard's ring has free beside its tail cache, so that one session's window fits into the ring and need not be parked.
   * Half of it is enough where acks come at once; a group commit takes as much as has come while the one before was synced.
   */
  publishWindowBytesMax: 8_388_608,
  /** A session whose shard's ring is full keeps a window of this: more would only wait in copies. */
  publishWindowCongestedBytes: 1_048_576,
  /** Free part of the credit pool below which windows no longer grow and idle ones are taken back. */
  creditPoolReserveBytes: 16_777_216,
  creditIdleMs: 5_000,
  /** A session that has not answered a CREDIT_REVOKE for so long is closed: its credit starves others. */
  creditRevokeTimeoutMs: 15_000,
  /** A publish waits so long for room in its shard's ring before it is THROTTLED. */
  parkedMsMax: 1_000,
  throttleRetryAfterMs: 250,
  /** Topics that this node may not have heard of yet, whose publishes wait until it is sure. */
  unplacedTopicsMax: 1_024,
  /** As a rule a shard is back within 0.3 s, here or at another node; who comes too early backs off by itself. */
  shardRestartRetryAfterMs: 100,
  /** Runs of acks and publish errors that wait for a slow socket. */
  ackRunsMax: 16_384,
  /** Deliveries to tail groups, and their bytes, that one turn of the event loop sends before it lets others run. */
  sendsPerTurn: 64,
  sendBytesPerTurn: 1_048_576,
  /** Partitions that one session, and all together, may be subscribed to. */
  streamsPerSessionMax: 8_192,
  streamsMax: 1_000_000,
  /** After a deadline for giving a partition back: its home shard takes it before the gateway does. */
  revokeGraceMs: 1_000,
  /** A shard that did not answer a member's request is asked again after this. */
  groupRetryMs: 1_000,
  /** Requests to shards that one SUBSCRIBE from a time has under way. */
  timeLookupsAtOnce: 16,
  /** Copied frames that wait for the members of one tail group, and of all. */
  fanOutGroupBytesMax: 8_388_608,
  fanOutTotalBytesMax: 67_108_864,
  /** Messages and bytes of a consumer's credit that one shard has at once; of several consumers each gets shorter turns. */
  lendMessagesMax: 8_192,
  lendSharedMessagesMax: 256,
  lendBytesMax: 1_048_576,
  /** Bytes of a turn of small messages: what is lent takes room in its session's output, which others wait for. */
  lendBytesMin: 16_384,
  /** Settles of one session that are not answered: more than a consumer can have slots. */
  openSettlesMax: 262_144,
  /** Settles that wait for room in rings, of all consumers. */
  parkedSettlesMax: 262_144,
  /** How long describing a subscription waits for the record whose key holds others up. */
  keyLookupMsMax: 2_000,
  /** Topics that a watch of a session that does not read has still to be told of. */
  watchChangesMax: 16_384,
  /** Results in one SETTLED frame. */
  settledPerFrameMax: 32_768,
  /** Of one HTTP request: bytes and records of its body. */
  httpBodyBytesMax: 2_097_152,
  httpRecordsMax: 10_000,
  /** Bodies of all HTTP requests that are not answered, and how many those are; more are refused as THROTTLED. */
  httpMemoryBytesMax: 33_554_432,
  httpRequestsMax: 4_096,
  /** How long a body may take to come, and its records to be acknowledged; looked at so often. */
  httpBodyMsMax: 30_000,
  httpAckMsMax: 10_000,
  httpCheckMs: 500,
  /** Stored payload of a batch of HTTP requests' records, unless a single one is larger. */
  httpBatchBytes: 262_144,
  /** Characters of an error's message that go over the wire. */
  errorMessageCharsMax: 1_000,
  tickMs: 1_000,
  /** close(): how long sessions get to read what was sent before their sockets are closed. */
  closeGraceMs: 2_000,
} as const;

const largestFrame = Math.max(LIMITS.frameBytesMax, LIMITS.deliverFrameBytesMax);
if (GATEWAY_LIMITS.messageBytesMax !== 2 * LIMITS.frameBytesMax) {
  throw new RangeError("messageBytesMax must be twice the frame limit");
}
if (GATEWAY_LIMITS.outputHighWaterBytes + 2 * largestFrame > GATEWAY_LIMITS.outputBytesMax) {
  throw new RangeError("outputBytesMax must hold the high-water mark and a delivery beyond it");
}
if (GATEWAY_LIMITS.outputBytesMax + largestFrame > GATEWAY_LIMITS.backpressureBytesMax) {
  throw new RangeError("backpressureBytesMax must lie above everything that is sent");
}
if (GATEWAY_LIMITS.openSettlesMax <= LIMITS.slotsMax) {
  throw new RangeError("a consumer must be able to settle all that it holds");
}
if (GATEWAY_LIMITS.socketIdleSeconds * 1000 <= LIMITS.deadAfterMs) {
  throw new RangeError("socketIdleSeconds must lie above deadAfterMs");
}
if (GATEWAY_LIMITS.httpBodyBytesMax < LIMITS.recordBytesMax * 1.4) {
  throw new RangeError("httpBodyBytesMax must hold the largest record in base64");
}
if (LIMITS.frameBytesMax > GATEWAY_LIMITS.publishWindowBytesMax) {
  throw new RangeError("a publish window must hold the largest frame");
}
