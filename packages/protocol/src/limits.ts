/**
 * Every limit of the protocol. Names end in their unit; a count has none. The server repeats what a client must keep
 * to in its WELCOME, so that a client never has to assume these values.
 */
export const LIMITS = {
  /** The newest version of the protocol that this package speaks, and the oldest. */
  protocolVersion: 1,
  protocolVersionMin: 1,
  /** A frame must stay below an eighth of a ring (16 MiB), with room for the ring's and the journal's own headers. */
  frameBytesMax: 2_096_128,
  deliverFrameBytesMax: 2_096_128,
  /** Stored payload: a batch with its checksum trailer. Whatever was published must fit a DELIVER frame too. */
  batchBytesMax: 2_096_000,
  /** Encoded record, that is the content of its bin. */
  recordBytesMax: 1_048_576,
  /** Encoded header map of one record. */
  headersBytesMax: 65_536,
  /** Raw bytes of a key (UTF-8 for a string). */
  keyBytesMax: 4_096,
  topicNameBytesMax: 249,
  partitionsMax: 1024,
  /** Topics in one TOPICS frame. */
  topicsPerPageMax: 1000,
  /** Per producer and partition. */
  inFlightBatchesMax: 4_096,
  subscriptionsPerSessionMax: 1024,
  requestsInFlightMax: 1024,
  helloTimeoutMs: 10_000,
  pingIntervalMs: 15_000,
  deadAfterMs: 45_000,
  publishCreditInitialBytes: 16_384,
  publishCreditPoolBytes: 67_108_864,
  clientNameBytesMax: 256,
  featuresMax: 64,
  /** Arrays and maps inside each other in a frame's own maps, such as details and extensions. */
  nestingMax: 16,
  /** Values in all maps of a frame together: decoding them costs many times their bytes. */
  frameValuesMax: 16_384,
  /** Nesting inside a record's value. */
  valueNestingMax: 100,
  /** Subscriptions that a server keeps, of all topics together. */
  subscriptionsMax: 65_536,
  subscriptionNameBytesMax: 249,
  /** Subscriptions in one SUBSCRIPTIONS frame. */
  subscriptionsPerPageMax: 256,
  /** Snapshots of one subscription's position. */
  snapshotsMax: 16,
  consumersPerSessionMax: 1024,
  /** Messages that a consumer may have unsettled. */
  slotsMax: 65_535,
  /** Records under one lease. */
  leaseRecordsMax: 32,
  leaseMsMin: 1_000,
  leaseMsMax: 43_200_000,
  /** Of a subscription's `maxDeliveries`. */
  deliveriesMax: 1_000,
  backoffMsMax: 3_600_000,
  nackDelayMsMax: 43_200_000,
  deadLetterReasonBytesMax: 256,
  /** Rows of one SETTLE frame. */
  settlesPerFrameMax: 4_096,
  /** Records that a PEEK may ask for. */
  peekRecordsMax: 1_000,
  /** Dead letters in one REDRIVE. */
  redriveRecordsMax: 1_000,
  watchesPerSessionMax: 256,
} as const;
