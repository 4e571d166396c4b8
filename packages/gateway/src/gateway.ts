import { GatewayIds, type GatewayPort, type Logger, VERSION } from "@millrace/broker/internal";
import {
  ERROR_CODES,
  encodeGoaway,
  encodeWelcome,
  FrameWriter,
  type HelloFrame,
  LIMITS,
  MillraceError,
} from "@millrace/protocol";
import type { Clock } from "./clock.ts";
import type { DispatchHost } from "./frame-dispatch.ts";
import { type GatewayOptions, GatewayParts } from "./gateway-parts.ts";
import { answerHealth } from "./health-routes.ts";
import { checkHello, SERVER_FEATURES } from "./hello.ts";
import { HttpPublisher } from "./http-publish/http-publisher.ts";
import { API_PREFIX, PublishRoute } from "./http-publish/publish-route.ts";
import { errorBody, notFound } from "./http-reply.ts";
import { GATEWAY_LIMITS } from "./limits.ts";
import type {
  HttpBody,
  HttpExchange,
  HttpReply,
  HttpRequest,
  ListenerHandler,
  Socket,
  SocketHandler,
} from "./listener.ts";
import { NodeEvents } from "./node-events.ts";
import type { OriginPolicy } from "./origin-policy.ts";
import { OutputMeter } from "./output-meter.ts";
import { OPEN, Session, type SessionHost } from "./session.ts";
import { SessionLog } from "./session-log.ts";
import { SessionTable } from "./session-table.ts";
import { STATUS_PATH, StatusRoute } from "./status-route.ts";

/**
 * The sessions of one node and all that concerns them together: listener events come in on one side, the node's on the
 * other, both on this thread.
 */
export class Gateway implements ListenerHandler, SessionHost, DispatchHost {
  readonly writer: FrameWriter = new FrameWriter(4096);
  readonly output: OutputMeter = new OutputMeter();
  readonly log: SessionLog;
  /** What the node tells. */
  readonly node: NodeEvents;
  readonly #port: GatewayPort;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #parts: GatewayParts;
  readonly #sessions: SessionTable;
  readonly #publishRoute: PublishRoute;
  readonly #statusRoute: StatusRoute;
  #origins: OriginPolicy | undefined;
  #phase: "starting" | "serving" | "draining" = "starting";

  constructor(options: GatewayOptions) {
    const { port, clock, logger } = options;
    this.#port = port;
    this.#clock = clock;
    this.#logger = logger;
    this.log = new SessionLog(logger);
    this.#parts = new GatewayParts(options, this);
    this.#sessions = new SessionTable(
      this,
      clock,
      new GatewayIds(port.gateway, { start: port.idStart }),
      () => {
        this.#parts.credit.tick();
        this.#parts.queueConsumers.tick();
      },
    );
    const publisher = new HttpPublisher(clock, (socket) => {
      // Not one of those that sessionsMax is there for: there is one of its kind.
      const session = this.#newSession(socket);
      this.#sessions.add(session);
      return session;
    });
    this.#publishRoute = new PublishRoute(this.#parts.topics, publisher, clock, (error) =>
      this.log.hookFailed("publish", error),
    );
    this.#statusRoute = new StatusRoute(
      port,
      (origin) => this.#origins?.allows(origin) ?? origin === "",
      (error) => this.log.hookFailed("status", error),
    );
    this.node = new NodeEvents(port, this.#parts, this.#sessions, logger);
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** Bytes of publish credit that no session holds. */
  get availableCredit(): number {
    return this.#parts.credit.available;
  }

  get isDraining(): boolean {
    return this.#phase === "draining";
  }

  /** From now on upgrades are accepted. */
  serve(origins: OriginPolicy): void {
    this.#origins = origins;
    this.#phase = "serving";
    this.#sessions.start();
  }

  /** No new sessions, requests or publishes; clients are told to go elsewhere. Acks and deliveries go on. */
  goAway(): void {
    if (this.#phase === "draining") return;
    this.#phase = "draining";
    for (const session of this.#sessions.values()) {
      if (session.state !== OPEN) continue;
      this.writer.reset();
      encodeGoaway(this.writer, {
        code: ERROR_CODES.SERVER_DRAINING.code,
        name: "SERVER_DRAINING",
        message: "the broker is shutting down",
      });
      session.sendWritten();
    }
    this.#parts.publishPath.drain();
    this.#parts.queueConsumers.drain();
    this.#parts.acks.flush();
  }

  /** Ends all sessions, once their publishes are answered and their clients have read it, or closeGraceMs are over. */
  async endSessions(): Promise<void> {
    this.#parts.acks.flush();
    await this.#sessions.end();
  }

  // ---- listener ----

  upgrade(request: HttpRequest): HttpReply | undefined {
    return request.path === "/" ? this.#refusal(request) : notFound(request.path);
  }

  /** Whether requests of this origin are served now; what answers those that are not. */
  #refusal(request: HttpRequest): HttpReply | undefined {
    if (this.#phase !== "serving" || this.#origins === undefined) {
      return unavailable("SERVER_DRAINING", this.notReadyReason() ?? "the broker is not ready");
    }
    if (!this.#origins.allows(request.origin)) {
      this.#logger.log("warn", "origin-refused", { origin: request.origin });
      return {
        status: 403,
        body: errorBody("NOT_AUTHORIZED", `pages from ${request.origin} may not connect`),
      };
    }
    return undefined;
  }

  open(socket: Socket): SocketHandler {
    const session = this.#newSession(socket);
    if (this.#sessions.size >= GATEWAY_LIMITS.sessionsMax) {
      session.fail(
        new MillraceError("TOO_MANY_SESSIONS", `there are ${GATEWAY_LIMITS.sessionsMax} sessions already`),
      );
      // The listener has not got the session yet, so that nobody else would tell it.
      session.onClose(1013);
      return session;
    }
    this.#sessions.add(session);
    return session;
  }

  http(request: HttpRequest, exchange: HttpExchange): HttpReply | HttpBody {
    // Also while it is not ready: that is when people ask.
    if (request.path === STATUS_PATH) return this.#statusRoute.handle(request, exchange);
    if (request.path.startsWith(API_PREFIX)) {
      const refusal = this.#refusal(request);
      return refusal ?? this.#publishRoute.handle(request, exchange);
    }
    return answerHealth(
      request,
      () => this.notReadyReason(),
      () => this.#port.conditions,
    );
  }

  failed(hook: string, error: unknown): void {
    this.log.hookFailed(hook, error);
  }

  /** Why /readyz says 503. */
  notReadyReason(): string | undefined {
    if (this.#phase === "draining") return "the broker is shutting down";
    if (this.node.failedShards.size > 0) {
      return `the journal of shard ${[...this.node.failedShards].join(", ")} failed: an operator must repair it`;
    }
    if (this.#phase === "starting" || !this.#port.ready) return "the broker is recovering";
    return undefined;
  }

  // ---- sessions ----

  #newSession(socket: Socket): Session {
    return new Session(this.#sessions.newId(), socket, this, this.#sessions.now);
  }

  onFrame(session: Session, bytes: Uint8Array): void {
    session.seenTick = this.#sessions.now;
    this.#parts.dispatch.onFrame(session, bytes);
  }

  welcome(session: Session, frame: HelloFrame): void {
    checkHello(frame);
    session.state = OPEN;
    session.clientName = frame.clientName;
    const publishCredit = this.#parts.credit.open(session.credit);
    this.writer.reset();
    encodeWelcome(this.writer, {
      version: LIMITS.protocolVersion,
      features: SERVER_FEATURES,
      limits: LIMITS,
      sessionId: session.id,
      serverTimeMs: this.#clock.wallMs(),
      serverName: `millrace/${VERSION}`,
      publishCredit,
      extensions: { clusterId: this.#port.clusterId },
    });
    session.sendWritten();
    this.log.opened(session);
  }

  onWritable(session: Session): void {
    this.#parts.acks.flushSession(session);
    this.#parts.credit.drained(session.credit);
    this.#parts.delivery.onWritable(session);
    this.#parts.queueConsumers.onWritable(session);
    this.#parts.watches.onWritable(session);
  }

  onSessionClosed(session: Session, code: number): void {
    this.#sessions.delete(session);
    this.#parts.credit.close(session.credit);
    const { subscriptions } = session;
    session.subscriptions = undefined;
    session.inFlight = undefined;
    session.lastInFlight = undefined;
    for (const subscription of subscriptions?.values() ?? []) this.#parts.delivery.end(subscription);
    this.#parts.consumers.onSessionClosed(session);
    this.#parts.watches.onSessionClosed(session);
    this.log.closed(session, code);
  }

  /** Once a second: who is alive, who has to be asked, who holds credit for nothing. */
  tick(): void {
    this.#sessions.tick();
  }
}

function unavailable(error: "SERVER_DRAINING", message: string): HttpReply {
  return { status: 503, body: errorBody(error, message), headers: { "retry-after": "1" } };
}
