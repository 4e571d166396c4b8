import type { Socket } from "node:net";
import { copyBytes } from "@millrace/core";
import { RECORD_HEADER_BYTES } from "@millrace/core/internal";
import { writeU64 } from "@millrace/journal/internal";
import { BROKER_LIMITS } from "../limits.ts";
import type { Clock } from "../shard/clock.ts";
import {
  CALL_ID_WORD,
  CALL_LENGTH_WORD,
  HEARTBEAT_NUMBER_WORD,
  LINK,
  MESSAGE_LENGTH_WORD,
  MESSAGE_PAYLOAD,
  PeerProtocolError,
} from "./link-layout.ts";
import { OutputChunks } from "./output-chunks.ts";
import { RecordReader } from "./record-reader.ts";

/** Payloads of the link's short records. */
const PAIR_BYTES = 8;
const NUMBER_BYTES = 8;

/** What a connection tells its end. All but onClosed may throw: that closes the connection. */
export interface ConnectionEvents {
  /** A whole record, but for heartbeats; the memory is lent for the call. */
  onRecord(type: number, words: Int32Array, bytes: Buffer, index: number, length: number): void;
  /** The records of one read from the socket have been told. */
  onReadEnd(): void;
  /** The socket took some of what was written. */
  onWritten(): void;
  /** Once, at the latest when the socket is closed. `error` where it was not the other side's or the network's doing. */
  onClosed(reason: string, error: Error | undefined): void;
}

/**
 * One connection of a link, at either end: records out of and into a socket, at most one write a turn, and the heartbeats by
 * which each end knows that the other one lives. It does not know what the records mean.
 */
export class PeerConnection {
  readonly output: OutputChunks;
  readonly #clock: Clock;
  readonly #events: ConnectionEvents;
  readonly #reader: RecordReader;
  readonly #beatTimer: NodeJS.Timeout;
  readonly #write: () => void = () => this.#writeOut();
  readonly #isDialer: boolean;
  #socket: Socket | undefined;
  #handshakeTimer: NodeJS.Timeout | undefined;
  #isWritePlanned = false;
  #isOpen = false;
  #isEstablished = false;
  #isClosed = false;
  /** Lane and ring of the ring record that was written last. */
  #lane = -1;
  #ring = -1;
  #receivedBytes = 0;
  #receivedAtMs: number;
  #beatAtMs: number;
  #beatNumber = 0;
  #beatSentAtMs = 0;
  rttMs: number | undefined;

  /** @param isDialer it sends the heartbeats, and the other side answers them */
  constructor(clock: Clock, isDialer: boolean, events: ConnectionEvents) {
    this.#clock = clock;
    this.#isDialer = isDialer;
    this.#events = events;
    this.output = new OutputChunks(() => {
      if (!this.#isClosed) this.guard(() => events.onWritten());
    });
    this.#reader = new RecordReader(
      (type, words, bytes, index, length) => this.#take(type, words, bytes, index, length),
      BROKER_LIMITS.peerHelloBytesMax,
    );
    this.#receivedAtMs = this.#beatAtMs = clock.monotonicMs();
    this.#beatTimer = setInterval(() => this.#beat(), BROKER_LIMITS.peerHeartbeatMs).unref();
    this.#handshakeTimer = setTimeout(
      () => this.close(`no handshake within ${BROKER_LIMITS.peerHandshakeMs} ms`),
      BROKER_LIMITS.peerHandshakeMs,
    ).unref();
  }

  /** For net.connect and tls.connect: the socket reads into this connection's memory. */
  get onread(): { buffer: () => Buffer; callback: (count: number) => boolean } {
    return {
      buffer: () => this.#reader.room(),
      callback: (count) => {
        this.#received(count, () => this.#reader.received(count));
        return true;
      },
    };
  }

  /** @param readsItself it was made with `onread`; otherwise its data events are read. Call it as soon as the socket is made. */
  attach(socket: Socket, readsItself: boolean): void {
    this.#socket = socket;
    let failure = "the other side closed the connection";
    socket.on("error", (error) => {
      failure = error.message;
    });
    // What we still had to say nobody reads.
    socket.on("end", () => this.close(failure));
    socket.on("close", () => this.close(failure));
    if (readsItself) return;
    socket.on("data", (chunk: Buffer) => this.#received(chunk.length, () => this.#reader.push(chunk)));
  }

  /** The socket is connected: what was written leaves. */
  open(): void {
    this.#isOpen = true;
    this.#socket?.setNoDelay(true);
    if (this.output.isDirty) this.planWrite();
  }

  /** Both sides know who speaks: longer records are taken, and it may last as long as it lives. */
  established(): void {
    clearTimeout(this.#handshakeTimer);
    this.#isEstablished = true;
    this.#reader.lengthMax = BROKER_LIMITS.peerRecordBytesMax;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  get sentBytes(): number {
    return this.#socket?.bytesWritten ?? 0;
  }

  /** What was written leaves at the end of this turn. */
  planWrite(): void {
    if (this.#isWritePlanned || !this.#isOpen) return;
    this.#isWritePlanned = true;
    process.nextTick(this.#write);
  }

  /** The ring records that follow are for this ring of this lane. Planning the write is up to whoever writes them. */
  select(laneId: number, ring: number): void {
    if (laneId === this.#lane && ring === this.#ring) return;
    this.#lane = laneId;
    this.#ring = ring;
    this.#writePair(LINK.LANE, laneId, ring);
  }

  /** Writes a record of two words. */
  writeWords(type: number, first: number, second: number): void {
    this.#writePair(type, first, second);
    this.planWrite();
  }

  /** Writes a record of two words and a whole number in two more. */
  writeNumber(type: number, first: number, second: number, number: number): void {
    const { output } = this;
    const index = output.claim(type, PAIR_BYTES + NUMBER_BYTES);
    const w = (index + RECORD_HEADER_BYTES) >> 2;
    output.words[w] = first;
    output.words[w + 1] = second;
    writeU64(output.words, w + 2, number);
    output.commit(index);
    this.planWrite();
  }

  /** Writes a record with a MessagePack payload; `callId` where its type has one. */
  writeMessage(type: number, payload: Uint8Array, callId?: number): void {
    const { output } = this;
    const index = output.claim(type, MESSAGE_PAYLOAD - RECORD_HEADER_BYTES + payload.length);
    const w = index >> 2;
    if (callId === undefined) {
      output.words[w + MESSAGE_LENGTH_WORD] = payload.length;
      output.words[w + MESSAGE_LENGTH_WORD + 1] = 0;
    } else {
      output.words[w + CALL_ID_WORD] = callId;
      output.words[w + CALL_LENGTH_WORD] = payload.length;
    }
    copyBytes(output.bytes, index + MESSAGE_PAYLOAD, payload, 0, payload.length);
    output.commit(index);
    this.planWrite();
  }

  /** Says the last that was written, and hangs up. */
  end(reason: string): void {
    if (this.#isClosed) return;
    if (this.#isOpen && this.#socket !== undefined) {
      this.output.flush(this.#socket);
      const socket = this.#socket;
      // Whoever does not read it does not hold the socket for ever.
      setTimeout(() => socket.destroy(), BROKER_LIMITS.peerHeartbeatMs).unref();
      socket.end(() => socket.destroy());
      this.#socket = undefined;
    }
    this.close(reason);
  }

  close(reason: string, error?: Error): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#isOpen = false;
    clearInterval(this.#beatTimer);
    clearTimeout(this.#handshakeTimer);
    this.#reader.stop();
    this.output.close();
    this.#socket?.destroy();
    this.#events.onClosed(reason, error);
  }

  #writePair(type: number, first: number, second: number): void {
    const { output } = this;
    const index = output.claim(type, PAIR_BYTES);
    const w = (index + RECORD_HEADER_BYTES) >> 2;
    output.words[w] = first;
    output.words[w + 1] = second;
    output.commit(index);
  }

  /** Runs what may find that the other side has broken the rules: nothing that came over a link ends this process. */
  guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      if (error instanceof PeerProtocolError) this.close(error.message);
      else this.close(`internal error: ${String(error)}`, error as Error);
    }
  }

  #writeOut(): void {
    this.#isWritePlanned = false;
    if (this.#socket === undefined || !this.#isOpen) return;
    const { queuedBytes } = this.output;
    if (queuedBytes > BROKER_LIMITS.peerBacklogBytesMax) {
      this.close(`the other side does not read: queuedBytes=${queuedBytes}`);
    } else {
      this.output.flush(this.#socket);
    }
  }

  #received(count: number, read: () => void): void {
    if (this.#isClosed) return;
    this.#receivedAtMs = this.#clock.monotonicMs();
    this.#receivedBytes += count;
    this.guard(read);
    if (!this.#isClosed) this.guard(() => this.#events.onReadEnd());
  }

  #take(type: number, words: Int32Array, bytes: Buffer, index: number, length: number): void {
    if (type !== LINK.HEARTBEAT || !this.#isEstablished) {
      this.#events.onRecord(type, words, bytes, index, length);
      return;
    }
    const number = words[(index >> 2) + HEARTBEAT_NUMBER_WORD] as number;
    if (length < RECORD_HEADER_BYTES + PAIR_BYTES) throw new PeerProtocolError("a heartbeat is cut short");
    if (!this.#isDialer) this.#writeBeat(number);
    else if (number === this.#beatNumber) this.rttMs = this.#clock.monotonicMs() - this.#beatSentAtMs;
  }

  #beat(): void {
    const nowMs = this.#clock.monotonicMs();
    // A process that was stopped has not listened: the others get one more beat to be heard.
    if (nowMs - this.#beatAtMs >= 2 * BROKER_LIMITS.peerHeartbeatMs) {
      const graceMs = BROKER_LIMITS.peerDeadMs - BROKER_LIMITS.peerHeartbeatMs;
      this.#receivedAtMs = Math.max(this.#receivedAtMs, nowMs - graceMs);
    }
    this.#beatAtMs = nowMs;
    const silentMs = nowMs - this.#receivedAtMs;
    if (silentMs >= BROKER_LIMITS.peerDeadMs) {
      this.close(`nothing was heard for ${Math.round(silentMs)} ms`);
    } else if (this.#isDialer && this.#isEstablished) {
      this.#beatNumber = (this.#beatNumber + 1) | 0;
      this.#beatSentAtMs = nowMs;
      this.#writeBeat(this.#beatNumber);
    }
  }

  #writeBeat(number: number): void {
    this.writeWords(LINK.HEARTBEAT, number, 0);
  }
}
