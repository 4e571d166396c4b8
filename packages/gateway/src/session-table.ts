import type { GatewayIds } from "@millrace/broker/internal";
import { encodePing, LIMITS, MillraceError } from "@millrace/protocol";
import type { Clock } from "./clock.ts";
import { GATEWAY_LIMITS } from "./limits.ts";
import { AWAITS_HELLO, type Session, type SessionHost } from "./session.ts";

const PING_TICKS: number = LIMITS.pingIntervalMs / GATEWAY_LIMITS.tickMs;
const DEAD_TICKS: number = LIMITS.deadAfterMs / GATEWAY_LIMITS.tickMs;
const HELLO_TICKS: number = LIMITS.helloTimeoutMs / GATEWAY_LIMITS.tickMs;
const CLOSE_POLL_MS = 10;
const CLOSE_LINGER_MS = 50;

/** The sessions of one gateway: who is alive, who has to be asked, and how all of them end. */
export class SessionTable {
  readonly #host: SessionHost;
  readonly #clock: Clock;
  readonly #onTick: () => void;
  readonly #sessions: Map<number, Session> = new Map();
  readonly #ids: GatewayIds;
  readonly #isOpen = (sessionId: number): boolean => this.#sessions.has(sessionId);
  #tick = 0;
  #stopTicks: (() => void) | undefined;

  /**
   * @param ids of this gateway
   * @param onTick runs at the end of each tick.
   */
  constructor(host: SessionHost, clock: Clock, ids: GatewayIds, onTick: () => void) {
    this.#host = host;
    this.#ids = ids;
    this.#clock = clock;
    this.#onTick = onTick;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Ticks (seconds) so far. */
  get now(): number {
    return this.#tick;
  }

  get(sessionId: number): Session | undefined {
    return this.#sessions.get(sessionId);
  }

  values(): MapIterator<Session> {
    return this.#sessions.values();
  }

  add(session: Session): void {
    this.#sessions.set(session.id, session);
  }

  delete(session: Session): void {
    this.#sessions.delete(session.id);
  }

  newId(): number {
    return this.#ids.next(this.#isOpen);
  }

  /** From now on there is a tick a second. */
  start(): void {
    this.#stopTicks = this.#clock.after(GATEWAY_LIMITS.tickMs, () => {
      this.start();
      this.tick();
    });
  }

  /** Once a second. */
  tick(): void {
    this.#tick += 1;
    const tick = this.#tick;
    for (const session of this.#sessions.values()) {
      if (session.state === AWAITS_HELLO) {
        if (tick - session.openedTick > HELLO_TICKS) {
          session.fail(new MillraceError("HELLO_TIMEOUT", "no HELLO came in time"));
        }
        continue;
      }
      if (tick - session.seenTick > DEAD_TICKS) {
        session.fail(new MillraceError("SESSION_TIMEOUT", "nothing was received for too long"));
        continue;
      }
      // A lost drain event (uWebSockets #1047) must not silence a session for ever.
      if (session.unsentBytes > 0 && session.canSend()) this.#host.onWritable(session);
      // Spread over the seconds, so that many sessions are not asked all at once.
      if ((tick + session.id) % PING_TICKS === 0 && session.canSend()) this.#ping(session, tick);
    }
    this.#onTick();
    const { output } = this.#host;
    for (let worst = output.worst(); worst !== undefined; worst = output.worst()) {
      (worst as Session).abort("TOO_MANY_REQUESTS", "all sockets together hold too many unsent bytes");
    }
  }

  /**
   * Ends all sessions, once their publishes are answered and their clients have read what was sent, or closeGraceMs are over.
   * Own shards have answered before; those of other nodes may still be at it.
   */
  async end(): Promise<void> {
    const deadline = this.#clock.monotonicMs() + GATEWAY_LIMITS.closeGraceMs;
    while ((this.#hasUnanswered() || this.#hasUnsent()) && this.#clock.monotonicMs() < deadline)
      await this.#clock.sleep(CLOSE_POLL_MS);
    const hadSessions = this.#sessions.size > 0;
    for (const session of [...this.#sessions.values()]) {
      session.fail(new MillraceError("SERVER_DRAINING", "the broker is shutting down"));
    }
    this.#stopTicks?.();
    this.#stopTicks = undefined;
    // A socket that is closed while bytes come in is reset, and a reset discards what the client has not read.
    if (hadSessions) await this.#clock.sleep(CLOSE_LINGER_MS);
  }

  #ping(session: Session, nonce: number): void {
    const { writer } = this.#host;
    writer.reset();
    encodePing(writer, { nonce });
    session.sendWritten();
  }

  #hasUnanswered(): boolean {
    for (const { credit } of this.#sessions.values()) if (credit.unanswered > 0) return true;
    return false;
  }

  #hasUnsent(): boolean {
    const { output } = this.#host;
    for (const sender of [...output.blocked]) {
      const session = sender as Session;
      output.update(session, session.socket.bufferedAmount());
    }
    return output.totalBytes > 0;
  }
}
