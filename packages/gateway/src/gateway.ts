import { type GatewayPort, type Logger, VERSION } from "@millrace/broker/internal";
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
import { notFound } from "./http-reply.ts";
import { GATEWAY_LIMITS } from "./limits.ts";
import type { HttpReply, HttpRequest, ListenerHandler, Socket, SocketHandler } from "./listener.ts";
import { NodeEvents } from "./node-events.ts";
import type { OriginPolicy } from "./origin-policy.ts";
import { OutputMeter } from "./output-meter.ts";
import { OPEN, Session, type SessionHost } from "./session.ts";
import { SessionLog } from "./session-log.ts";
import { SessionTable } from "./session-table.ts";

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
  #origins: OriginPolicy | undefined;
  #phase: "starting" | "serving" | "draining" = "starting";

  constructor(options: GatewayOptions) {
    const { port, clock, logger } = options;
    this.#port = port;
    this.#clock = clock;
    this.#logger = logger;
    this.log = new SessionLog(logger);
    this.#parts = new GatewayParts(options, this);
    this.#sessions = new SessionTable(this, clock, () => {
      this.#parts.credit.tick();
      this.#parts.queueConsumers.tick();
    });
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

  /** Ends all sessions, once their clients have read what was sent or closeGraceMs are over. */
  async endSessions(): Promise<void> {
    this.#parts.acks.flush();
    await this.#sessions.end();
  }

  // ---- listener ----

  upgrade(request: HttpRequest): HttpReply | undefined {
    if (request.path !== "/") return notFound(request.path);
    if (this.#phase !== "serving" || this.#origins === undefined) {
      return unavailable("SERVER_DRAINING", this.notReadyReason() ?? "the broker is not ready");
    }
    if (!this.#origins.allows(request.origin)) {
      this.#logger.log("warn", "origin-refused", { origin: request.origin });
      return {
        status: 403,
        body: { error: "NOT_AUTHORIZED", message: `pages from ${request.origin} may not connect` },
      };
    }
    return undefined;
  }

  open(socket: Socket): SocketHandler {
    const session = new Session(this.#sessions.newId(), socket, this, this.#sessions.now);
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

  http(request: HttpRequest): HttpReply {
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
      extensions: {},
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
  return { status: 503, body: { error, message }, headers: { "retry-after": "1" } };
}
