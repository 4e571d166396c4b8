import { createHash, randomBytes } from "node:crypto";
import { connect as connectPlain, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import {
  decodeFrame,
  encodeFrame,
  type Frame,
  FrameReader,
  FrameWriter,
  LIMITS,
} from "@millrace/protocol/internal";
import { maskedFrame, maskedPong } from "../../wire/masked-frame.ts";
import type { Pinger } from "../subjects/subject.ts";

/** RFC 6455, section 1.3. */
const ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const CONNECT_TIMEOUT_MS = 60_000;
const WEBSOCKET_PING = 9;
const READER: FrameReader = new FrameReader();

/**
 * A session that holds next to no memory of its own, so that one process can have ten thousand of them. Endpoint: `url`, and
 * `localAddress` where ports of one address run short.
 */
export async function connectPinger(endpoint: Readonly<Record<string, string | number>>): Promise<Pinger> {
  const session = new IdleSession(String(endpoint.url), endpoint.localAddress);
  await session.opened;
  return session;
}

class IdleSession implements Pinger {
  readonly opened: Promise<void>;
  readonly #socket: Socket;
  #upgraded = false;
  #received = "";
  #answered: () => void = () => undefined;
  #failed: (error: Error) => void = () => undefined;
  #nonce = 0;

  constructor(url: string, localAddress: string | number | undefined) {
    const { protocol, hostname, port } = new URL(url);
    const address = localAddress === undefined ? {} : { localAddress: String(localAddress) };
    const options = { host: hostname, port: Number(port), ...address };
    const key = randomBytes(16).toString("base64");
    const accept = createHash("sha1")
      .update(key + ACCEPT_GUID)
      .digest("base64");
    this.opened = this.#answer();
    const timer = setTimeout(() => this.#fail(new Error(`no answer from ${url}`)), CONNECT_TIMEOUT_MS);
    void this.opened.then(
      () => clearTimeout(timer),
      () => clearTimeout(timer),
    );
    const onConnect = (): void => {
      this.#socket.write(
        `GET / HTTP/1.1\r\nHost: ${hostname}:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
          `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
      );
    };
    this.#socket =
      protocol === "wss:"
        ? connectTls({ ...options, rejectUnauthorized: false }, onConnect)
        : connectPlain({ ...options, noDelay: true }, onConnect);
    this.#socket.setNoDelay(true);
    this.#socket.on("error", (error) => this.#fail(error));
    this.#socket.on("close", () => this.#fail(new Error(`${url} closed the connection`)));
    this.#socket.on("data", (chunk) => {
      if (this.#upgraded) this.#onFrames(chunk);
      else this.#onUpgrade(chunk, accept);
    });
  }

  async ping(): Promise<void> {
    const answer = this.#answer();
    this.#send({ name: "PING", value: { nonce: this.#nonce++ } });
    await answer;
  }

  async close(): Promise<void> {
    this.#failed = () => undefined;
    this.#socket.destroy();
  }

  #answer(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#answered = resolve;
      this.#failed = reject;
    });
  }

  #onUpgrade(chunk: Buffer, accept: string): void {
    this.#received += chunk.toString("latin1");
    if (!this.#received.includes("\r\n\r\n")) return;
    if (!this.#received.startsWith("HTTP/1.1 101") || !this.#received.includes(accept)) {
      this.#fail(new Error(`the upgrade was refused: ${this.#received.slice(0, 200)}`));
      return;
    }
    this.#upgraded = true;
    this.#received = "";
    const versions = { versionMin: LIMITS.protocolVersion, versionMax: LIMITS.protocolVersion };
    this.#send({ name: "HELLO", value: { ...versions, clientName: "idle", features: [], extensions: {} } });
  }

  /** Only short frames come, one at a time: the welcome, pongs, and what the broker asks for being there. */
  #onFrames(chunk: Buffer): void {
    const start = (chunk[1] as number) < 126 ? 2 : 4;
    if (((chunk[0] as number) & 0x0f) === WEBSOCKET_PING) {
      this.#socket.write(maskedPong(chunk.subarray(start)));
      return;
    }
    const frame = decodeFrame(READER, chunk, start, chunk.length);
    if (frame.name === "WELCOME" || frame.name === "PONG") this.#answered();
    else if (frame.name === "PING") this.#send({ name: "PONG", value: { nonce: frame.value.nonce } });
    else if (frame.name === "ERROR") this.#fail(new Error(`${frame.value.name}: ${frame.value.message}`));
  }

  #send(frame: Frame): void {
    const writer = new FrameWriter(64);
    encodeFrame(writer, frame);
    this.#socket.write(maskedFrame(writer.bytes()));
  }

  #fail(error: Error): void {
    this.#failed(error);
  }
}
