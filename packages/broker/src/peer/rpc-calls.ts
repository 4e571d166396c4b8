import { errorNameOf, MillraceError } from "@millrace/protocol";
import { Packr } from "msgpackr";
import { BROKER_LIMITS } from "../limits.ts";
import { arrayOf, unpack } from "./handshake.ts";
import { CALL_ID_WORD, CALL_LENGTH_WORD, LINK, MESSAGE_PAYLOAD, PeerProtocolError } from "./link-layout.ts";
import type { PeerConnection } from "./peer-connection.ts";

const packr = new Packr({ useRecords: false });

interface PendingCall {
  readonly method: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: MillraceError) => void;
  readonly timer: NodeJS.Timeout;
}

/** Calls over one link that the other node has not answered yet. */
export class RpcCalls {
  readonly #nodeId: number;
  readonly #pending: Map<number, PendingCall> = new Map();
  #nextId = 1;

  /** @param nodeId of the node that is called */
  constructor(nodeId: number) {
    this.#nodeId = nodeId;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** @returns as PeerLink#call */
  call(
    connection: PeerConnection,
    method: string,
    args: readonly unknown[],
    timeoutMs: number,
  ): Promise<unknown> {
    if (this.#pending.size >= BROKER_LIMITS.peerCallsMax) {
      const calls = this.#pending.size;
      return Promise.reject(
        tooBusy(`too many calls to node ${this.#nodeId} are not answered: calls=${calls}`),
      );
    }
    const payload = packr.pack([method, ...args]);
    if (payload.length > BROKER_LIMITS.peerRecordBytesMax - MESSAGE_PAYLOAD) {
      const message = `a call of ${method} is too large for a link: bytes=${payload.length}`;
      return Promise.reject(new MillraceError("REQUEST_TOO_LARGE", message));
    }
    const callId = this.#nextId;
    this.#nextId = (callId % 0x7fff_ffff) + 1;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(callId);
        const message = `node ${this.#nodeId} did not answer ${method} within ${timeoutMs} ms`;
        reject(new MillraceError("INTERNAL", message, { details: { nodeId: this.#nodeId } }));
      }, timeoutMs);
      this.#pending.set(callId, { method, resolve, reject, timer });
      connection.writeMessage(LINK.RPC, payload, callId);
    });
  }

  /** An RPC_REPLY. @throws PeerProtocolError */
  onReply(words: Int32Array, bytes: Buffer, index: number, length: number): void {
    if (length < MESSAGE_PAYLOAD) throw new PeerProtocolError("an answer is cut short");
    const callId = words[(index >> 2) + CALL_ID_WORD] as number;
    const payloadBytes = words[(index >> 2) + CALL_LENGTH_WORD] as number;
    const answer = unpack(bytes, index + MESSAGE_PAYLOAD, payloadBytes, index + length);
    const [number, value, details, name] = arrayOf(answer, "RPC_REPLY");
    const pending = this.#settle(callId);
    if (pending === undefined) return;
    if (number === 0) pending.resolve(value);
    else pending.reject(errorOf(Number(number), String(value), details, String(name)));
  }

  /** The link is gone: nothing that was called will be answered. */
  rejectAll(): void {
    for (const [callId, { method }] of [...this.#pending]) {
      this.#settle(callId)?.reject(linkLost(this.#nodeId, method));
    }
  }

  #settle(callId: number): PendingCall | undefined {
    const pending = this.#pending.get(callId);
    if (pending === undefined) return undefined;
    this.#pending.delete(callId);
    clearTimeout(pending.timer);
    return pending;
  }
}

/** A call that no link carries, or none any more: whether it was done nobody knows. */
export function linkLost(nodeId: number, method: string): MillraceError {
  return new MillraceError("SHARD_RESTARTED", `the link to node ${nodeId} is down: call=${method}`, {
    details: { nodeId, ...retrySoon() },
  });
}

/** A call that may go through later. */
export function tooBusy(message: string): MillraceError {
  return new MillraceError("THROTTLED", message, { details: retrySoon() });
}

function retrySoon(): Record<string, unknown> {
  return { retryAfterMs: BROKER_LIMITS.retryAfterMs };
}

function errorOf(number: number, message: string, details: unknown, name: string): MillraceError {
  const known = errorNameOf(number);
  const fields = typeof details === "object" && details !== null ? (details as Record<string, unknown>) : {};
  return new MillraceError(known ?? "INTERNAL", known === undefined ? `${name}: ${message}` : message, {
    details: fields,
  });
}
