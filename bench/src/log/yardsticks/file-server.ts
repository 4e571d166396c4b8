/**
 * Yardstick `file-server`: a bare process that reads ranges of a file, 256 KiB at a time, and writes what it has read
 * to a loopback socket. It checks nothing and frames nothing: what a replay would cost if there were no broker
 * around it. The connection begins with a WebSocket handshake, because the replayer's connections do.
 */

import { createHash } from "node:crypto";
import { closeSync, fdatasyncSync, openSync, readSync, writeSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { serveCommands } from "@millrace/load/internal";
import { BATCH_BYTES, VALUE_BYTES } from "../../harness/bench-row.ts";
import { buildPublishBlock } from "../../wire/publish-block.ts";
import { RANGE_REQUEST_BYTES, readRangeRequest } from "./range-request.ts";

export interface FileServerCommands {
  /** Writes the file, of so many bytes, as the disk yardstick does: 1 MiB at a time, with an fdatasync after each. */
  prepare(args: { path: string; bytes: number }): void;
  listen(args: { path: string }): Promise<string>;
}

const READ_BYTES = 256 * 1024;
/** Reads ahead of the socket: one is filled while the others wait to be sent. */
const BUFFERS = 4;
const MIB = 1024 * 1024;
/** RFC 6455, section 1.3. */
const ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

function prepare(path: string, bytes: number): void {
  const shape = { topicIds: [1], valueBytes: VALUE_BYTES, batchBytes: BATCH_BYTES };
  const block = Buffer.alloc(MIB, buildPublishBlock(shape, MIB).bytes);
  const file = openSync(path, "w");
  for (let position = 0; position < bytes; ) {
    position += writeSync(file, block, 0, Math.min(MIB, bytes - position), position);
    fdatasyncSync(file);
  }
  closeSync(file);
}

function serveRange(socket: Socket, file: number, from: number, bytes: number): void {
  const free = Array.from({ length: BUFFERS }, () => Buffer.allocUnsafeSlow(READ_BYTES));
  const end = from + bytes;
  let position = from;
  const pump = (): void => {
    while (position < end) {
      const buffer = free.pop();
      if (buffer === undefined) return;
      const length = readSync(file, buffer, 0, Math.min(READ_BYTES, end - position), position);
      if (length === 0) throw new Error(`the file is too short: position=${position} end=${end}`);
      position += length;
      socket.write(buffer.subarray(0, length), () => {
        free.push(buffer);
        pump();
      });
    }
  };
  pump();
}

function accept(socket: Socket, file: number): void {
  let head = "";
  let request = Buffer.alloc(0);
  let upgraded = false;
  socket.setNoDelay(true);
  // The replayer closes when it has enough.
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: Buffer) => {
    if (!upgraded) {
      head += chunk.toString("latin1");
      if (!head.endsWith("\r\n\r\n")) return;
      upgraded = true;
      socket.write(upgradeAnswer(head));
      return;
    }
    request = Buffer.concat([request, chunk]);
    if (request.length < RANGE_REQUEST_BYTES) return;
    const { position, bytes } = readRangeRequest(request);
    request = request.subarray(RANGE_REQUEST_BYTES);
    serveRange(socket, file, position, bytes);
  });
}

function upgradeAnswer(head: string): string {
  const key = /^sec-websocket-key: *(\S+)/im.exec(head)?.[1] ?? "";
  const answer = createHash("sha1")
    .update(key + ACCEPT_GUID)
    .digest("base64");
  return (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
    `Sec-WebSocket-Accept: ${answer}\r\n\r\n`
  );
}

serveCommands<FileServerCommands>({
  prepare: ({ path, bytes }) => prepare(path, bytes),
  listen: ({ path }) => {
    const file = openSync(path, "r");
    const server = createServer((socket) => accept(socket, file));
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", () => {
        resolve(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
      });
    });
  },
});
