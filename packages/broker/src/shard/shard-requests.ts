import { ERROR_CODES, MillraceError } from "@millrace/protocol";
import { Packr } from "msgpackr";
import { CatalogWriter } from "./catalog-writer.ts";
import { type GatewayRequestMap, GatewayRequests } from "./gateway-requests.ts";
import { type GroupRequestMap, GroupRequests } from "./group-requests.ts";
import type { Done, RequestContext } from "./request-context.ts";
import {
  type SubscriptionCatalogRequestMap,
  SubscriptionCatalogRequests,
} from "./subscription-catalog-requests.ts";
import { type SubscriptionReportMap, SubscriptionReports } from "./subscription-reports.ts";
import { type SubscriptionRequestMap, SubscriptionRequests } from "./subscription-requests.ts";
import { type TopicRequestMap, TopicRequests } from "./topic-requests.ts";
import { type UpkeepRequestMap, UpkeepRequests } from "./upkeep-requests.ts";

const packr = new Packr({ useRecords: false });

/** Requests a node may make of a shard: MessagePack [kind, ...arguments] in a REQUEST record. */
export interface ShardRequestMap
  extends TopicRequestMap,
    SubscriptionCatalogRequestMap,
    SubscriptionRequestMap,
    SubscriptionReportMap,
    GroupRequestMap,
    GatewayRequestMap,
    UpkeepRequestMap {}

type Handler = (args: readonly unknown[], done: Done<unknown>, requestId: number) => void;

/**
 * The control plane of a shard: everything that is not publishing or reading. Shard thread only; answers are
 * MessagePack, [0, value] or [error number, message, details].
 */
export class ShardRequests {
  readonly #context: RequestContext;
  readonly #handlers: ReadonlyMap<string, Handler>;

  constructor(shardId: number, context: RequestContext) {
    this.#context = context;
    const writer = new CatalogWriter(context);
    const topics = new TopicRequests(context, writer);
    this.#handlers = new Map<string, Handler>(
      Object.entries({
        ...topics.handlers,
        ...new SubscriptionCatalogRequests(context, writer).handlers,
        ...new SubscriptionRequests(context).handlers,
        ...new SubscriptionReports(context).handlers,
        ...new GroupRequests(context.homeGroups, context.clock).handlers,
        ...new GatewayRequests(context).handlers,
        ...new UpkeepRequests(shardId, context, topics, writer).handlers,
      }) as [string, Handler][],
    );
  }

  handle(requestId: number, payload: Uint8Array): void {
    const { reply } = this.#context;
    const [kind, ...args] = packr.unpack(payload) as [string, ...unknown[]];
    const handler = this.#handlers.get(kind);
    if (handler === undefined) throw new Error(`unknown shard request: ${kind}`);
    try {
      handler(args, (value) => reply(requestId, packr.pack([0, value])), requestId);
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      reply(requestId, packr.pack([ERROR_CODES[error.code].code, error.message, error.details]));
    }
  }
}
