import { copyBytes } from "@millrace/core";
import { RECORD_HEADER_BYTES } from "@millrace/core/internal";
import { Packr } from "msgpackr";
import { GATEWAYS_MAX } from "../link/gateway-ids.ts";
import { VERSION } from "../version.ts";
import {
  HELLO_LENGTH_WORD,
  HELLO_MAGIC,
  HELLO_MAGIC_WORD,
  HELLO_PAYLOAD,
  HELLO_VERSION_WORD,
  LINK,
  LINK_VERSION,
  MESSAGE_LENGTH_WORD,
  MESSAGE_PAYLOAD,
  PeerProtocolError,
} from "./link-layout.ts";
import type { PeerConnection } from "./peer-connection.ts";

const packr = new Packr({ useRecords: false });

/** Who dials. */
export interface Hello {
  readonly clusterId: string;
  readonly nodeId: number;
  readonly run: number;
  /** Counts the dials of this run: of two connections the one with the higher number is the newer one. */
  readonly attempt: number;
  /** Whom it means to reach. */
  readonly toNodeId: number;
  /** Of the software; for people. */
  readonly release: string;
}

/** Who answers, and how many bytes each ring of a lane may have on their way. */
export interface Welcome {
  readonly clusterId: string;
  readonly nodeId: number;
  readonly run: number;
  readonly release: string;
  readonly windows: readonly [number, number, number];
}

export function writeHello(connection: PeerConnection, hello: Omit<Hello, "release">): void {
  const { clusterId, nodeId, run, attempt, toNodeId } = hello;
  const payload = packr.pack([clusterId, nodeId, run, attempt, toNodeId, VERSION]);
  const { output } = connection;
  const index = output.claim(LINK.HELLO, HELLO_PAYLOAD - RECORD_HEADER_BYTES + payload.length);
  const w = index >> 2;
  output.words[w + HELLO_MAGIC_WORD] = HELLO_MAGIC;
  output.words[w + HELLO_VERSION_WORD] = LINK_VERSION;
  output.words[w + HELLO_LENGTH_WORD] = payload.length;
  output.words[w + HELLO_LENGTH_WORD + 1] = 0;
  copyBytes(output.bytes, index + HELLO_PAYLOAD, payload, 0, payload.length);
  output.commit(index);
  connection.planWrite();
}

/** @throws PeerProtocolError when this is something else, or of another version */
export function readHello(
  type: number,
  words: Int32Array,
  bytes: Buffer,
  index: number,
  length: number,
): Hello {
  const w = index >> 2;
  if (type !== LINK.HELLO || length < HELLO_PAYLOAD || words[w + HELLO_MAGIC_WORD] !== HELLO_MAGIC) {
    throw new PeerProtocolError("this is no node of Millrace");
  }
  const version = words[w + HELLO_VERSION_WORD] as number;
  if (version !== LINK_VERSION) {
    throw new PeerProtocolError(`another version of the link: version=${version} expected=${LINK_VERSION}`);
  }
  const fields = unpack(bytes, index + HELLO_PAYLOAD, words[w + HELLO_LENGTH_WORD] as number, index + length);
  const [clusterId, nodeId, run, attempt, toNodeId, release] = arrayOf(fields, "HELLO");
  return {
    clusterId: stringOf(clusterId, "clusterId"),
    nodeId: nodeIdOf(nodeId),
    run: naturalOf(run, "run"),
    attempt: naturalOf(attempt, "attempt"),
    toNodeId: naturalOf(toNodeId, "toNodeId"),
    release: stringOf(release, "release"),
  };
}

export function writeWelcome(connection: PeerConnection, welcome: Omit<Welcome, "release">): void {
  const { clusterId, nodeId, run, windows } = welcome;
  connection.writeMessage(LINK.WELCOME, packr.pack([clusterId, nodeId, run, VERSION, ...windows]));
}

/** @throws PeerProtocolError */
export function readWelcome(words: Int32Array, bytes: Buffer, index: number, length: number): Welcome {
  const fields = arrayOf(readMessage(words, bytes, index, length), "WELCOME");
  const [clusterId, nodeId, run, release, batches, reads, consumers] = fields;
  return {
    clusterId: stringOf(clusterId, "clusterId"),
    nodeId: nodeIdOf(nodeId),
    run: naturalOf(run, "run"),
    release: stringOf(release, "release"),
    windows: [naturalOf(batches, "window"), naturalOf(reads, "window"), naturalOf(consumers, "window")],
  };
}

/** Says why, and hangs up. */
export function refuse(connection: PeerConnection, reason: string): void {
  connection.writeMessage(LINK.REFUSED, packr.pack([reason]));
  connection.end(reason);
}

/** What a REFUSED says. */
export function readRefusal(words: Int32Array, bytes: Buffer, index: number, length: number): string {
  return stringOf(arrayOf(readMessage(words, bytes, index, length), "REFUSED")[0], "reason");
}

/** The payload of WELCOME, REFUSED and PUSH. @throws PeerProtocolError */
export function readMessage(words: Int32Array, bytes: Buffer, index: number, length: number): unknown {
  if (length < MESSAGE_PAYLOAD) throw new PeerProtocolError("a message is cut short");
  const payloadBytes = words[(index >> 2) + MESSAGE_LENGTH_WORD] as number;
  return unpack(bytes, index + MESSAGE_PAYLOAD, payloadBytes, index + length);
}

/** A MessagePack value out of lent memory; nothing of it aliases that. @throws PeerProtocolError */
export function unpack(bytes: Buffer, start: number, length: number, end: number): unknown {
  if (length < 0 || start + length > end)
    throw new PeerProtocolError(`a payload is cut short: bytes=${length}`);
  try {
    return packr.unpack(Uint8Array.prototype.slice.call(bytes, start, start + length));
  } catch (error) {
    throw new PeerProtocolError(`a payload is no MessagePack: ${(error as Error).message}`);
  }
}

export function arrayOf(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new PeerProtocolError(`${what} must hold an array`);
  return value;
}

function stringOf(value: unknown, what: string): string {
  if (typeof value !== "string") throw new PeerProtocolError(`${what} must be a string`);
  return value;
}

function naturalOf(value: unknown, what: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) {
    throw new PeerProtocolError(`${what} must be a natural number: ${String(value)}`);
  }
  return value as number;
}

function nodeIdOf(value: unknown): number {
  const nodeId = naturalOf(value, "nodeId");
  if (nodeId >= GATEWAYS_MAX) throw new PeerProtocolError(`a nodeId is 0 to ${GATEWAYS_MAX - 1}: ${nodeId}`);
  return nodeId;
}
