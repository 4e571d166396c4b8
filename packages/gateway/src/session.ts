import {
  encodeCredit,
  encodeCreditRevoke,
  encodeError,
  errorFrameOf,
  type FrameWriter,
  MillraceError,
} from "@millrace/protocol";
import type { AckQueue } from "./ack-queue.ts";
import { closeCodeOf } from "./close-code.ts";
import type { Consumer } from "./consumer-table.ts";
import type { InFlight } from "./in-flight.ts";
import { GATEWAY_LIMITS } from "./limits.ts";
import { DROPPED, SENT, type Socket, type SocketHandler } from "./listener.ts";
import type { MeteredSender, OutputMeter } from "./output-meter.ts";
import { CreditAccount, type CreditOwner } from "./publish-credit.ts";
import type { SessionLog } from "./session-log.ts";
import type { Subscription } from "./subscription.ts";
import type { TopicWatch } from "./topic-watches.ts";

/** Session.state. */
export const AWAITS_HELLO = 0;
export const OPEN = 1;
export const CLOSED = 2;

/** What a session needs of its gateway. */
export interface SessionHost {
  /** One writer for all frames: what it holds is sent before anything else is written. */
  readonly writer: FrameWriter;
  readonly output: OutputMeter;
  onFrame(session: Session, bytes: Uint8Array): void;
  /** The socket has room again. */
  onWritable(session: Session): void;
  onSessionClosed(session: Session, code: number): void;
  readonly log: SessionLog;
}

/**
 * One client's connection. Holds what the connection owns and sends its frames; what frames mean is decided elsewhere.
 * An idle one takes under 1 KiB: whatever only producers or consumers need is made when it is first used.
 */
export class Session implements SocketHandler, CreditOwner, MeteredSender {
  readonly id: number;
  readonly socket: Socket;
  readonly credit: CreditAccount;
  readonly #host: SessionHost;
  state: typeof AWAITS_HELLO | typeof OPEN | typeof CLOSED = AWAITS_HELLO;
  clientName = "";
  /** Tick (second) in which something was last received, and in which the session was opened. */
  seenTick: number;
  readonly openedTick: number;
  unsentBytes = 0;
  /** Requests that have not been answered. */
  requestsInFlight = 0;

  /** Publishes that are not answered, by partition; see InFlight. */
  inFlight: Map<number, InFlight> | undefined;
  lastInFlight: InFlight | undefined;
  acks: AckQueue | undefined;
  acksDirty = false;

  subscriptions: Map<number, Subscription> | undefined;
  /** All that reads for the session: its open subscriptions, and its parts in stream subscriptions. */
  readers: Set<Subscription> | undefined;
  /** Its parts in subscriptions that others share, by consumerId. */
  consumers: Map<number, Consumer> | undefined;
  /** Settles of its consumers that it has not been sent an answer to. */
  openSettles = 0;
  /** Patterns of topic names that it watches, by watchId. */
  watches: Map<number, TopicWatch> | undefined;
  /** Bytes of all reads that have been asked for and not been answered, and of credit that is lent to shards. */
  readingBytes = 0;

  constructor(id: number, socket: Socket, host: SessionHost, tick: number) {
    this.id = id;
    this.socket = socket;
    this.#host = host;
    this.openedTick = tick;
    this.seenTick = tick;
    this.credit = new CreditAccount(this);
  }

  get isClosed(): boolean {
    return this.state === CLOSED;
  }

  /** Whether deliveries and acks may be sent: the socket is below the high-water mark. */
  canSend(): boolean {
    if (this.state === CLOSED) return false;
    if (this.unsentBytes === 0) return true;
    this.#host.output.update(this, this.socket.bufferedAmount());
    return this.unsentBytes < this.#host.output.highWaterBytes;
  }

  /**
   * Sends a frame whatever waits already; the caller keeps to canSend() for what is not the answer to a request.
   * @returns false when the session is closed, or was closed because it does not read.
   */
  send(frame: Uint8Array): boolean {
    if (this.state === CLOSED) return false;
    const outcome = this.socket.send(frame);
    if (outcome === SENT && this.unsentBytes === 0) return true;
    const output = this.#host.output;
    output.update(this, this.socket.bufferedAmount());
    const unsentMax = output.isOverrun
      ? GATEWAY_LIMITS.outputHighWaterTightBytes
      : GATEWAY_LIMITS.outputBytesMax;
    if (outcome !== DROPPED && this.unsentBytes <= unsentMax) return true;
    this.abort("TOO_MANY_REQUESTS", "the client does not read what it asked for");
    return false;
  }

  /** Sends what the host's writer holds. */
  sendWritten(): boolean {
    return this.send(this.#host.writer.bytes());
  }

  sendError(error: MillraceError, requestId?: number): void {
    const { writer } = this.#host;
    writer.reset();
    encodeError(writer, errorFrameOf(shortened(error), requestId));
    this.sendWritten();
  }

  sendCredit(limit: number): void {
    const { writer } = this.#host;
    writer.reset();
    encodeCredit(writer, { publishCreditLimit: limit });
    this.sendWritten();
  }

  sendRevoke(limit: number): void {
    const { writer } = this.#host;
    writer.reset();
    encodeCreditRevoke(writer, { publishCreditLimit: limit });
    this.sendWritten();
  }

  revokeTimedOut(): void {
    this.fail(new MillraceError("SESSION_TIMEOUT", "the client has not answered a CREDIT_REVOKE"));
  }

  /** The session ends with an ERROR frame and a close. For violations of the protocol and for timeouts. */
  fail(error: MillraceError): void {
    if (this.state === CLOSED) return;
    this.#host.log.refused(this, error);
    // Behind a full socket the error would not arrive, and the socket would stay with all it holds.
    if (this.canSend()) {
      this.sendError(error);
      this.socket.end(closeCodeOf(error.code), error.code);
    } else {
      this.socket.close();
    }
  }

  /** Closes without a frame, for a client that does not read. */
  abort(code: "TOO_MANY_REQUESTS" | "SESSION_TIMEOUT", message: string): void {
    if (this.state === CLOSED) return;
    this.#host.log.refused(this, new MillraceError(code, message));
    this.socket.close();
  }

  onMessage(bytes: Uint8Array): void {
    if (this.state !== CLOSED) this.#host.onFrame(this, bytes);
  }

  onText(): void {
    this.fail(new MillraceError("TEXT_FRAME", "frames are binary messages; this one was text"));
  }

  onDrain(): void {
    if (this.canSend()) this.#host.onWritable(this);
  }

  onClose(code: number): void {
    if (this.state === CLOSED) return;
    this.state = CLOSED;
    this.#host.output.update(this, 0);
    this.#host.onSessionClosed(this, code);
  }

  onFailure(error: unknown): void {
    this.#host.log.failed(this, error);
    this.fail(new MillraceError("INTERNAL", "the broker failed to handle a frame; its log says why"));
  }
}

function shortened(error: MillraceError): MillraceError {
  if (error.message.length <= GATEWAY_LIMITS.errorMessageCharsMax) return error;
  const message = `${error.message.slice(0, GATEWAY_LIMITS.errorMessageCharsMax)}…`;
  return new MillraceError(error.code, message, { details: error.details });
}
