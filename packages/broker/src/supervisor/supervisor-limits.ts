/** Every bound of the supervisor; tests replace some. */
export const SUPERVISOR_LIMITS = {
  /** A node is asked so often whether it lives, and taken for dead when nothing has come from it for so long. */
  pingIntervalMs: 500,
  silenceMsMax: 3_000,
  /** From the start of a node's process to its first answer; it opens nothing before. */
  greetMsMax: 30_000,
  /** A start waits so long for every node to serve; then those that do are enough, if every shard is open. */
  startMsMax: 60_000,
  /** A socket that is not there, or refuses, is tried again after so long. */
  connectRetryMs: 10,
  /** A node that does not answer `close` within this is ended, so that the shard can be opened elsewhere. */
  closeMsMax: 30_000,
  /** From being asked to drain to the end of the process; then it is ended. */
  drainMsMax: 9_000,
  /** A process that was sent SIGKILL and is there still is spoken of so often. */
  endingNoticeMs: 10_000,
  /** Pause before a node that died is started again, doubled for each further death. */
  backoffMinMs: 100,
  backoffMaxMs: 10_000,
  /** So many deaths within so long are a crash loop: the node is left down. One that served this long is not counted. */
  crashLoopDeaths: 5,
  crashLoopWindowMs: 60_000,
  stableMs: 5_000,
  /** After a death a node has to be ready for so long before shards are moved to it, doubled for each further death. */
  settleMinMs: 500,
  settleMaxMs: 30_000,
  /** A new cluster's shards wait so long for the slowest node before the others share them. */
  gatherMsMax: 5_000,
  /** A shard that could not be opened is tried again after so long, doubled each time. */
  reopenMinMs: 200,
  reopenMaxMs: 10_000,
  /** The same for one whose opening ended with its node, after the first such end, then ten times as long each time. */
  deadlyReopenMaxMs: 600_000,
  /** A node that could not open a shard that was moved to it is given none for so long, doubled each time. */
  shunMinMs: 1_000,
  shunMaxMs: 300_000,
  /** Longest line on the control channel of a node: the map of the largest cluster. */
  lineBytesMax: 1_048_576,
  /** What a node's log may grow to before a new one is begun; one old one is kept. */
  logBytesMax: 16_777_216,
  /** Nodes' logs are looked at so often for what they have to say. */
  logPollMs: 100,
} as const;

export type SupervisorLimits = { readonly [Name in keyof typeof SUPERVISOR_LIMITS]: number };
