import { connect, type Socket } from "node:net";
import { Packr } from "msgpackr";
import { HELLO_MAGIC, LINK, LINK_VERSION } from "../../src/peer/link-layout.ts";
import type { PeerPath } from "../../src/peer/peer-address.ts";
import { CLUSTER, GUEST, OWNER, type OwnerNode } from "./linked-nodes.ts";

const DELIVER_FRAME = 40;
const packr = new Packr({ useRecords: false });

/** A peer that says what it likes. */
export class RawPeer {
  readonly socket: Socket;
  /** [type, payload bytes behind the fields of a DELIVER, first word] of each record that came, but for heartbeats. */
  readonly records: [number, number, number][] = [];
  isClosed = false;
  #beats: NodeJS.Timeout | undefined;
  #chunks: Buffer[] = [];
  #arrived = 0;
  /** Bytes with which the next record is whole. */
  #wanted = 12;

  constructor(owner: OwnerNode) {
    this.socket = connect((owner.server.address as PeerPath).path);
    this.socket.on("data", (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#arrived += chunk.length;
      if (this.#arrived >= this.#wanted) this.#cut();
    });
    this.socket.on("error", () => {});
    this.socket.on("close", () => {
      clearInterval(this.#beats);
      this.isClosed = true;
    });
  }

  /** Types of the records that came. */
  get types(): number[] {
    return this.records.map(([type]) => type);
  }

  #cut(): void {
    const bytes = Buffer.concat(this.#chunks);
    let at = 0;
    this.#wanted = 12;
    while (at + 12 <= bytes.length) {
      const length = bytes.readInt32LE(at);
      if (at + length > bytes.length) {
        this.#wanted = length;
        break;
      }
      const type = bytes.readInt32LE(at + 4);
      if (type !== LINK.HEARTBEAT)
        this.records.push([type, length - DELIVER_FRAME, bytes.readInt32LE(at + 8)]);
      at += (length + 7) & -8;
    }
    const rest = bytes.subarray(at);
    this.#chunks = [rest];
    this.#arrived = rest.length;
  }

  send(type: number, ...words: readonly number[]): void {
    this.socket.write(record(type, Buffer.from(new Int32Array(words).buffer)));
  }

  hello(
    fields: Partial<
      Record<"clusterId" | "nodeId" | "run" | "attempt" | "toNodeId" | "version", unknown>
    > = {},
  ): void {
    const { clusterId = CLUSTER, nodeId = GUEST, run = 5, attempt = 1, toNodeId = OWNER, version } = fields;
    const payload = packr.pack([clusterId, nodeId, run, attempt, toNodeId, "test"]);
    const head = Buffer.alloc(16);
    head.writeInt32LE(HELLO_MAGIC, 0);
    head.writeInt32LE((version as number) ?? LINK_VERSION, 4);
    head.writeInt32LE(payload.length, 8);
    this.socket.write(record(LINK.HELLO, Buffer.concat([head, payload])));
    clearInterval(this.#beats);
    this.#beats = setInterval(() => this.send(LINK.HEARTBEAT, 1, 0), 1_000);
  }
}

export function record(type: number, payload: Buffer): Buffer {
  const bytes = Buffer.alloc((8 + payload.length + 7) & -8);
  bytes.writeInt32LE(8 + payload.length, 0);
  bytes.writeInt32LE(type, 4);
  payload.copy(bytes, 8);
  return bytes;
}
