import type { RequestContext, RequestHandlers } from "./request-context.ts";

/** Requests of the process that owns the shard, about gateways of other processes. */
export interface GatewayRequestMap {
  /**
   * Forgets everything of a gateway: its consumers, members of groups, tail groups and reads. Answered behind the last
   * thing that the shard has to say to it; the reader thread may still be answering its reads. While the journal is full, what
   * waits for a commit is said to nobody instead, and what its consumers have said and nobody has handled is void.
   */
  gatewayGone: { args: [gateway: number]; reply: null };
  /** Answered by the reader thread, behind all reads that it was asked for before. */
  readsAnswered: { args: []; reply: null };
}

/** Answers requests about gateways. Shard thread only. */
export class GatewayRequests {
  readonly handlers: RequestHandlers<GatewayRequestMap> = {
    gatewayGone: ([gateway], done) => this.#context.departures.begin(gateway, () => done(null)),
    readsAnswered: (_args, _done, requestId) => this.#context.awaitReads(requestId),
  };
  readonly #context: RequestContext;

  constructor(context: RequestContext) {
    this.#context = context;
  }
}
