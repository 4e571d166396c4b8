import { ERROR_CODES, MillraceError } from "@millrace/protocol";
import { Packr } from "msgpackr";
import { BROKER_LIMITS } from "../limits.ts";
import type { Logger } from "../logger.ts";
import { arrayOf, unpack } from "./handshake.ts";
import { CALL_ID_WORD, CALL_LENGTH_WORD, LINK, MESSAGE_PAYLOAD, PeerProtocolError } from "./link-layout.ts";
import type { PeerConnection } from "./peer-connection.ts";
import type { RpcCaller, RpcHandlers } from "./rpc-handlers.ts";

const packr = new Packr({ useRecords: false });

/** Answers the calls of one guest. */
export class RpcService {
  readonly #handlers: RpcHandlers;
  readonly #caller: RpcCaller;
  readonly #logger: Logger;
  #running = 0;

  constructor(handlers: RpcHandlers, caller: RpcCaller, logger: Logger) {
    this.#handlers = handlers;
    this.#caller = caller;
    this.#logger = logger;
  }

  /** An RPC. @throws PeerProtocolError */
  onCall(connection: PeerConnection, words: Int32Array, bytes: Buffer, index: number, length: number): void {
    if (length < MESSAGE_PAYLOAD) throw new PeerProtocolError("a call is cut short");
    const callId = words[(index >> 2) + CALL_ID_WORD] as number;
    const payloadBytes = words[(index >> 2) + CALL_LENGTH_WORD] as number;
    const call = unpack(bytes, index + MESSAGE_PAYLOAD, payloadBytes, index + length);
    const [method, ...args] = arrayOf(call, "RPC");
    void this.#answer(connection, callId, String(method), args);
  }

  async #answer(
    connection: PeerConnection,
    callId: number,
    method: string,
    args: readonly unknown[],
  ): Promise<void> {
    let payload: Buffer;
    this.#running += 1;
    try {
      payload = packr.pack([0, await this.#run(method, args)]);
      if (payload.length > BROKER_LIMITS.peerRecordBytesMax - MESSAGE_PAYLOAD) {
        const message = `the answer to ${method} is too large for a link: bytes=${payload.length}`;
        throw new MillraceError("REQUEST_TOO_LARGE", message);
      }
    } catch (error) {
      payload = this.#refusal(method, error);
    }
    this.#running -= 1;
    if (!connection.isClosed) connection.writeMessage(LINK.RPC_REPLY, payload, callId);
  }

  #run(method: string, args: readonly unknown[]): unknown {
    if (this.#running > BROKER_LIMITS.peerCallsMax) {
      throw new MillraceError("THROTTLED", `too many calls are under way: calls=${this.#running}`, {
        details: { retryAfterMs: BROKER_LIMITS.retryAfterMs },
      });
    }
    const handler = this.#handlers.get(method);
    if (handler === undefined) throw new MillraceError("NOT_FOUND", `no such call: ${method}`);
    return handler(args, this.#caller);
  }

  #refusal(method: string, error: unknown): Buffer {
    if (error instanceof MillraceError) {
      return packr.pack([ERROR_CODES[error.code].code, error.message, error.details, error.code]);
    }
    const message = error instanceof Error ? error.message : String(error);
    this.#logger.log("error", "peer-call-failed", { nodeId: this.#caller.nodeId, method, error: message });
    return packr.pack([ERROR_CODES.INTERNAL.code, `${method} failed: ${message}`, {}, "INTERNAL"]);
  }
}
