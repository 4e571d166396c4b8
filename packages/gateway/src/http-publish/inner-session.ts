import {
  type AckRange,
  decodeAck,
  decodeCredit,
  decodeCreditRevoke,
  decodeError,
  decodePing,
  decodeWelcome,
  type ErrorFrame,
  encodeCreditRequest,
  encodeCreditReturned,
  encodeHello,
  encodePong,
  FRAME_TYPE,
  FrameReader,
  FrameWriter,
  LIMITS,
  readFrameType,
} from "@millrace/protocol";
import { SENT, type SendOutcome, type Socket, type SocketHandler } from "../listener.ts";

/** What an inner session tells its owner; never from inside `publish`. */
export interface InnerSessionOwner {
  onAck(range: AckRange): void;
  onPublishError(error: ErrorFrame): void;
  /** There is more credit. */
  onCredit(): void;
  /** The session is over: what was sent and is not answered may be stored. */
  onEnd(): void;
}

/**
 * A client in the gateway's own process: a session like any other, whose frames do not cross a socket. So what comes by
 * HTTP keeps to the same credit, finds the same bounds, and is answered the same way when shards fall.
 */
export class InnerSession implements Socket {
  readonly #owner: InnerSessionOwner;
  readonly #reader: FrameReader = new FrameReader();
  readonly #writer: FrameWriter = new FrameWriter(64);
  #handler: SocketHandler | undefined;
  #creditLimit = 0;
  #sentBytes = 0;
  /** Frame that credit was asked for. */
  #askedBytes = 0;

  constructor(owner: InnerSessionOwner, open: (socket: Socket) => SocketHandler) {
    this.#owner = owner;
    const handler = open(this);
    this.#handler = handler;
    const { protocolVersionMin: versionMin, protocolVersion: versionMax } = LIMITS;
    this.#say(encodeHello, { versionMin, versionMax, clientName: "http", features: [], extensions: {} });
  }

  /** Sends a PUBLISH frame. @returns false: there is not enough credit; onCredit follows. */
  publish(frame: Uint8Array): boolean {
    const { length } = frame;
    if (this.#sentBytes + length > this.#creditLimit) {
      if (this.#askedBytes < length) {
        this.#askedBytes = length;
        this.#say(encodeCreditRequest, { bytes: length });
      }
      return false;
    }
    this.#askedBytes = 0;
    this.#sentBytes += length;
    this.#handler?.onMessage(frame);
    return true;
  }

  // The socket, as the gateway's session sees it: what it sends comes here.

  send(frame: Uint8Array): SendOutcome {
    const type = readFrameType(frame, 0, frame.length);
    const reader = this.#reader;
    reader.open(frame, 0, frame.length);
    switch (type) {
      case FRAME_TYPE.ACK: {
        // Decoded as a whole: what the owner does may make the gateway write its next frame over this one.
        const { ranges, publishCreditLimit } = decodeAck(reader);
        for (const range of ranges) this.#owner.onAck(range);
        this.#raise(publishCreditLimit);
        break;
      }
      case FRAME_TYPE.ERROR: {
        const error = decodeError(reader);
        // Without a partition it concerns the session, whose end follows.
        if (typeof error.details.partition === "number") this.#owner.onPublishError(error);
        break;
      }
      case FRAME_TYPE.WELCOME:
        this.#raise(decodeWelcome(reader).publishCredit);
        break;
      case FRAME_TYPE.CREDIT:
        this.#raise(decodeCredit(reader).publishCreditLimit);
        break;
      case FRAME_TYPE.CREDIT_REVOKE:
        this.#giveBack(decodeCreditRevoke(reader).publishCreditLimit);
        break;
      case FRAME_TYPE.PING:
        this.#say(encodePong, { nonce: decodePing(reader).nonce });
        break;
      default:
        // GOAWAY: what is under way is answered, what comes is refused one by one.
        break;
    }
    return SENT;
  }

  bufferedAmount(): number {
    return 0;
  }

  end(code: number): void {
    const handler = this.#handler;
    if (handler === undefined) return;
    this.#handler = undefined;
    handler.onClose(code);
    this.#owner.onEnd();
  }

  close(): void {
    this.end(1006);
  }

  #raise(limit: number): void {
    if (limit <= this.#creditLimit) return;
    this.#creditLimit = limit;
    this.#owner.onCredit();
  }

  #giveBack(limit: number): void {
    this.#creditLimit = Math.min(this.#creditLimit, Math.max(limit, this.#sentBytes));
    this.#say(encodeCreditReturned, { publishCreditLimit: this.#creditLimit });
  }

  #say<F>(encode: (writer: FrameWriter, frame: F) => void, frame: F): void {
    this.#writer.reset();
    encode(this.#writer, frame);
    this.#handler?.onMessage(this.#writer.bytes());
  }
}
