import { balancedConsumer } from "./balanced-consumer.ts";
import { catchUp } from "./catch-up.ts";
import { endToEnd } from "./end-to-end.ts";
import { fanIn } from "./fan-in.ts";
import { fanOut } from "./fan-out.ts";
import { httpPublish } from "./http-publish.ts";
import { idleConnections } from "./idle-connections.ts";
import { manyTopics } from "./many-topics.ts";
import { pinnedConsumer } from "./pinned-consumer.ts";
import { pinnedProducer } from "./pinned-producer.ts";
import { keyedQueue, queue } from "./queue.ts";
import { recovery } from "./recovery.ts";
import { replay } from "./replay.ts";
import { replayBesideLive } from "./replay-beside-live.ts";
import { requestReply } from "./request-reply.ts";
import type { Scenario } from "./scenario.ts";
import { unbatchedLatency } from "./unbatched-latency.ts";

export const ALL_SCENARIOS: readonly Scenario[] = [
  pinnedProducer,
  pinnedConsumer,
  balancedConsumer,
  endToEnd,
  unbatchedLatency,
  fanOut,
  fanIn,
  requestReply,
  queue,
  keyedQueue,
  replay,
  replayBesideLive,
  catchUp,
  manyTopics,
  idleConnections,
  httpPublish,
  recovery,
];
