import { LIMITS } from "@millrace/protocol";

/** Every bound of the broker package; those that depend on each other are asserted below. */
export const BROKER_LIMITS = {
  /** Capacity of the ring from a gateway to a shard. */
  inboundRingBytes: 16_777_216,
  /** Capacity of the ring for reads from a gateway to a shard. */
  readsRingBytes: 262_144,
  /** Capacity of the ring for lent credit and settled leases from a gateway to a shard. */
  consumersRingBytes: 1_048_576,
  /**
   * Consumed part of the inbound ring that stays readable: the tail cache from which consumers near the end
   * of the log are served. The rest is room for what arrives.
   */
  tailCacheBytes: 8_388_608,
  /** Capacity of the ring from a shard, or from the reader thread, to a gateway. */
  outboundRingBytes: 16_777_216,
  /** Capacity of each of the two rings from a shard thread to the reader thread. */
  readerRingBytes: 65_536,
  /** Capacity of the ring from the reader thread to a shard thread. */
  fetchedRingBytes: 16_777_216,
  /** Bytes of the inbound ring a shard handles before it writes, syncs and answers. */
  drainBytesMax: 1_048_576,
  /** Runs of records that wait for their commit. A shard stops draining when the table is full. */
  pendingAcksMax: 65_536,
  /** Cold reads that wait for room in the reader's ring; one more is refused as THROTTLED. */
  pendingColdReadsMax: 65_536,
  /** Cold reads whose searches the reader thread has interrupted; past it no further reads are taken. */
  unfinishedColdReadsMax: 64,
  /** Files that the reader thread has not used for so long are closed. */
  coldFilesIdleMs: 2_000,
  /** Pieces of memory that a read-ahead thread fills for its reader thread, and their size. */
  aheadSlots: 8,
  aheadSlotBytes: 1_048_576,
  /** A reader thread that waits longer than this for one reads for itself. */
  aheadWaitMs: 5_000,
  /** A journal that has grown within this time has live traffic, to which cold reads leave the disk. */
  liveWritesMs: 500,
  /** Time after which waiting cold reads are offered again. */
  coldReadRetryMs: 5,
  /** One answer to a read, and one tail delivery, unless a single entry is larger. */
  deliverBytesTarget: 262_144,
  /** What a shard keeps of the log in memory, for its queues, beside the tail cache: the least recently used goes first. */
  fetchedBytesMax: 33_554_432,
  /** One fetch, unless a single entry is larger: less where many partitions share that memory. */
  fetchBytesMax: 1_048_576,
  fetchBytesMin: 8_192,
  /** Fetches of one shard under way at a time, each of another partition. */
  fetchesMax: 8,
  /** Offsets of one partition that wait for their turn; who asks for one more has to ask again. */
  fetchWantsMax: 16,
  /** A fetch that was not answered for so long is taken for lost. */
  fetchLostMs: 60_000,
  /** What could not be read is tried again after so long, doubled each time up to the second. */
  fetchRetryMsMin: 1_000,
  fetchRetryMsMax: 60_000,
  producersPerShardMax: 100_000,
  /** Leases of queue and keyed subscriptions that one shard has out at a time. */
  leasesPerShardMax: 1_048_576,
  /** Offsets of a queue from its oldest unfinished record to the newest one that is given. */
  queueSpanMax: 1_048_576,
  /** 7 days. */
  producerIdleMsMax: 604_800_000,
  /**
   * Runs of acknowledged sequences kept per producer and partition. A batch is at most one run, so that whoever has no
   * more in flight than this learns all offsets when it sends them again.
   */
  producerRunsMax: 64,
  topicsMax: 10_000,
  /** Members that share the partitions of one stream subscription, those without any included. */
  groupMembersMax: 2_048,
  partitionsTotalMax: 65_536,
  /** Partitions of all subscriptions, each in its own position. */
  subscriptionPartitionsTotalMax: 1_048_576,
  /** Subscriptions told of at once when a shard is reconciled: a record of a ring must hold them. */
  subscriptionsPageMax: 250,
  shardsMax: 1024,
  /** Bytes of a segment on a large volume, and journal bytes after which a checkpoint is taken: bounds what a start reads. */
  segmentBytesMax: 67_108_864,
  segmentBytesMin: 4_194_304,
  /** Part of the volume that a segment takes on a small one; rounded down to a power of two. */
  segmentVolumePart: 0.015_625,
  /** Ended segments that are not settled: from here on publishes are taken more slowly … */
  backlogPacedSegments: 16,
  /** … from here on they are refused as THROTTLED … */
  backlogRefusedSegments: 32,
  /** … until fewer than these are left. */
  backlogAcceptedSegments: 30,
  /** Bytes of batches a shard takes per ms where pacing begins; falls from there, in proportion, as the backlog grows. */
  pacedBytesPerMsMax: 524_288,
  /** Never less: what stands in the inbound ring behind batches must not wait for ever. */
  pacedBytesPerMsMin: 4_096,
  /** A segment with entries ends at this part of its shard's least retention, and within these bounds. */
  segmentAgeRetentionPart: 0.125,
  segmentAgeMsMin: 10_000,
  segmentAgeMsMax: 3_600_000,
  /** What is settled can only be deleted behind two checkpoints; time from one to the next that is taken for that alone … */
  idleCheckpointMs: 60_000,
  /** … and when a topic was deleted or truncated. */
  spaceCheckpointMs: 1_000,
  /** A deletion's segment is ended at most so often, and its space waited for so long. */
  spaceRollMs: 10_000,
  spaceWantedMs: 600_000,
  retentionCheckMs: 30_000,
  /** Time from one look at topics that retain until acknowledged to the next … */
  acknowledgedCheckMs: 500,
  /** … in which the start of a log moves by so many records at least, unless it has not moved for so long … */
  acknowledgedStepRecords: 4_096,
  acknowledgedStepMs: 5_000,
  /** … and so many records of a partition are dead-lettered at most. */
  acknowledgedLettersMax: 512,
  /** Least time from one look at settled files to the next. */
  retentionGapMs: 1_000,
  /** Files looked at in one plan, unless a partition's byte bound needs more. */
  retentionFilesMax: 256,
  /** A partition beyond its byte bound, of which no whole section could go, is looked at again when it has grown by this part. */
  retentionGrowthPart: 0.031_25,
  /** A file that holds little or nothing that lives is looked at again after so long, should it still be there. */
  reclaimRetryMs: 300_000,
  /** Part of the volume that all shards may fill, unless it is configured. */
  retentionTotalPart: 0.8,
  /** Time from one look at what the shards store to the next, and when it is near the bound. */
  retentionTotalCheckMs: 5_000,
  retentionTotalNearMs: 500,
  retentionTotalNearPart: 0.9,
  /** Files of one shard that are dropped at once because the volume is full. */
  retentionDropFilesMax: 64,
  /** Time from one look at the volume to the next … */
  diskCheckMs: 1_000,
  /** … and while less than the first is left above the low mark, of which all shards take this part at most until then. */
  diskNearBytes: 4_294_967_296,
  diskNearCheckMs: 50,
  diskNearPart: 0.5,
  /** Publishes are refused while less is free: this part of the volume or so many bytes, whichever is less … */
  diskLowPart: 0.05,
  diskLowBytesMax: 1_073_741_824,
  /** … and until this multiple of it is free again. */
  diskLowEndFactor: 1.25,
  /** A shard's reserve for what must be written to a full disk; less on a small volume. */
  reserveBytesMax: 8_388_608,
  /** Part of the volume that all reserves together take at most. */
  reserveVolumePart: 0.015_625,
  /** While the disk is short, room is held anew so often: this part of the reserve behind the journal's end, and not more than … */
  heldRoomCheckMs: 250,
  heldReservePart: 0.125,
  heldBytesMax: 1_048_576,
  /** Files that find no room get the reserve after so long, unless somebody waits for the room that they give back. */
  filesWaitMs: 60_000,
  /** Offsets reserved at once for topics weaker than `fsynced`. */
  offsetBlock: 1_048_576,
  /** Weakly durable entries are synced in the background after so many bytes … */
  lazySyncBytes: 33_554_432,
  /** … or so many milliseconds. */
  lazySyncMs: 1_000,
  /** A publish refused because of a full disk or a restarting shard may be tried again after so long. */
  retryAfterMs: 500,
  controlTimeoutMs: 30_000,
  /** A shard looks at least so often whether it has another owner, while it works and while it is idle. */
  fenceLookMs: 50,
  fenceIdleLookMs: 1_000,
  /** Shards and threads that die are started again, unless so many have died within this time. */
  shardRestartsMax: 10,
  shardRestartsWindowMs: 60_000,
  /** Memory of the links of closed shards is kept for others: of so many, and not used again before it has rested. */
  linksKeptMax: 16,
  linkRestsMs: 5_000,
  /** A shard that is closed is let go of if it could not commit and answer everything in so long … */
  shardFinishMsMax: 4_000,
  /** … and write its checkpoint in so long. Both together stay below the ten seconds that a process has to end. */
  shardCheckpointMsMax: 4_000,
  /** On the control channel: connections at a time, bytes of a line, and how long somebody may take to ask. */
  controlConnectionsMax: 16,
  controlLineBytesMax: 16_384,
  controlRequestTimeoutMs: 1_000,
  /** On a node's control channel: bytes of a line, which may hold a map of all nodes and shards … */
  nodeControlLineBytesMax: 524_288,
  /** … requests of one connection under way, bytes that it does not read, and how long it may say nothing. */
  nodeControlPendingMax: 2_048,
  nodeControlUnreadBytesMax: 4_194_304,
  nodeControlSilenceMsMax: 30_000,
  /** A backup whose command says nothing for so long is given up. */
  backupSilenceMsMax: 60_000,
  /** Links between nodes: a record, header included, and the first one, which says who speaks. */
  peerRecordBytesMax: 8_388_608,
  peerHelloBytesMax: 4_096,
  /** Memory into which a link reads, and pieces of memory from which it writes; both grow for a record that is larger. */
  peerReceiveBytes: 262_144,
  peerChunkBytes: 262_144,
  /** Pieces that a link keeps while it does not need them. */
  peerChunksKept: 4,
  /** Bytes that a gateway may have on their way to one shard, by ring: so much waits at its owner while the shard is full. */
  peerBatchWindowBytes: 4_194_304,
  peerReadsWindowBytes: 65_536,
  peerConsumersWindowBytes: 262_144,
  /** What waited for room in a shard's ring goes on in such parts, those of all guests and the own gateway in turn. */
  peerResumeBytes: 262_144,
  /** Credit is given back once this part of the window was used. */
  peerCreditPart: 0.25,
  /** A gateway hands no batch to a link whose socket has not taken so much of what came before. */
  peerOutputBytesMax: 16_777_216,
  /** A guest whose socket has not taken so much from turn to turn gets no tail deliveries … */
  peerTailBytesMax: 16_777_216,
  /** … no reads are passed on while this and what they may bring is more, nor leases given … */
  peerAnswerBytesMax: 16_777_216,
  /** … and here its link is closed. */
  peerBacklogBytesMax: 268_435_456,
  /** Bytes that a read counts at least, towards that. */
  peerReadBytesMin: 4_096,
  peerHeartbeatMs: 1_000,
  /** A link without a byte for so long is dead. */
  peerDeadMs: 4_000,
  /** From the connection to its welcome. */
  peerHandshakeMs: 4_000,
  /** Connections at a time that have not said who they are. */
  peerHandshakesMax: 64,
  peerReconnectMsMin: 10,
  peerReconnectMsMax: 1_000,
  /** A lane that was refused is asked for again. */
  peerLaneRetryMsMin: 20,
  peerLaneRetryMsMax: 1_000,
  /** Calls of one link that are not answered yet. */
  peerCallsMax: 1_024,
  /** Lines about connections of strangers: one in so long. */
  peerStrangerLogMs: 1_000,
} as const;

/** Bytes of a journal entry's header; asserted against the journal package where the entry is read. */
const FRAME_OVERHEAD = 256;

if (LIMITS.frameBytesMax + FRAME_OVERHEAD > BROKER_LIMITS.inboundRingBytes / 8) {
  throw new RangeError("frameBytesMax must stay below an eighth of the inbound ring");
}
if (LIMITS.frameBytesMax + FRAME_OVERHEAD > BROKER_LIMITS.outboundRingBytes / 8) {
  throw new RangeError("frameBytesMax must stay below an eighth of the outbound ring");
}
if (LIMITS.frameBytesMax + FRAME_OVERHEAD > BROKER_LIMITS.fetchedRingBytes / 8) {
  throw new RangeError("frameBytesMax must stay below an eighth of the ring for what was fetched");
}
if (LIMITS.frameBytesMax + BROKER_LIMITS.fetchBytesMax > BROKER_LIMITS.fetchedBytesMax / 4) {
  throw new RangeError("fetchedBytesMax must hold several of the largest batches");
}
if (BROKER_LIMITS.tailCacheBytes > BROKER_LIMITS.inboundRingBytes / 2) {
  throw new RangeError("tailCacheBytes must leave half of the inbound ring to what arrives");
}
if (BROKER_LIMITS.drainBytesMax > BROKER_LIMITS.inboundRingBytes - BROKER_LIMITS.tailCacheBytes) {
  throw new RangeError("drainBytesMax must fit into the inbound ring beside the tail cache");
}
if (
  BROKER_LIMITS.inboundRingBytes / 8 >
  BROKER_LIMITS.peerBatchWindowBytes * (1 - BROKER_LIMITS.peerCreditPart)
) {
  throw new RangeError("what is left of a window before credit comes back must hold the largest record");
}
if (BROKER_LIMITS.outboundRingBytes / 8 > BROKER_LIMITS.peerRecordBytesMax) {
  throw new RangeError("peerRecordBytesMax must hold the largest record of a ring");
}
if (
  BROKER_LIMITS.peerReadsWindowBytes > BROKER_LIMITS.readsRingBytes ||
  BROKER_LIMITS.peerConsumersWindowBytes > BROKER_LIMITS.consumersRingBytes
) {
  throw new RangeError("one guest's window must not be more than the ring");
}
if (BROKER_LIMITS.peerDeadMs < 3 * BROKER_LIMITS.peerHeartbeatMs) {
  throw new RangeError("peerDeadMs must leave room for a lost heartbeat and one that is late");
}
