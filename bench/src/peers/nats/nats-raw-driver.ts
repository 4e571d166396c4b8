/**
 * NATS core without a client library: blocks of encoded PUB lines with a PING behind each block, and a scanner that counts
 * MSG lines. What the server itself can do on this machine.
 */
import type {
  Consumer,
  ConsumerEvents,
  Driver,
  DriverSettings,
  Publisher,
  PublisherEvents,
} from "@millrace/load";
import { BlockPublisher, type FrameTemplate } from "../raw/block-publisher.ts";
import { PlainSocket } from "../raw/plain-socket.ts";
import { ValueBatch } from "../raw/value-batch.ts";
import { NatsScanner } from "./nats-scanner.ts";

const CONNECT =
  'CONNECT {"verbose":false,"pedantic":false,"tls_required":false,"lang":"raw","version":"0","protocol":1,"echo":false}\r\n';

interface RawSession {
  readonly socket: PlainSocket;
  /** Resolves at the next PONG; only while nothing else asks. */
  ping(): Promise<void>;
}

async function open(
  settings: DriverSettings,
  handler: { onMessage(bytes: Buffer, start: number, end: number): void; onPong(): void; onChunkEnd(): void },
  failed: (error: Error) => void,
): Promise<RawSession> {
  let onInfo = (): void => undefined;
  let onFirstPong: (() => void) | undefined;
  const scanner = new NatsScanner({
    onMessage: handler.onMessage,
    onInfo: () => onInfo(),
    onPing: () => socket.write("PONG\r\n"),
    onPong: () => {
      const first = onFirstPong;
      onFirstPong = undefined;
      if (first === undefined) handler.onPong();
      else first();
    },
  });
  const greeted = new Promise<void>((resolve) => {
    onInfo = resolve;
  });
  const socket = await PlainSocket.open(
    settings.endpoint,
    (chunk, length) => {
      scanner.push(chunk, length);
      handler.onChunkEnd();
    },
    failed,
  );
  await greeted;
  socket.write(CONNECT);
  const ping = (): Promise<void> =>
    new Promise((resolve) => {
      onFirstPong = resolve;
      socket.write("PING\r\n");
    });
  await ping();
  return { socket, ping };
}

/** The PUB line of a subject and a value of that size. */
export function publishTemplate({ target, valueBytes }: DriverSettings): FrameTemplate {
  const head = Buffer.from(`PUB ${target} ${valueBytes}\r\n`, "latin1");
  const frame = Buffer.concat([head, Buffer.alloc(valueBytes, "x"), Buffer.from("\r\n")]);
  return { frame, valueStart: head.length, trailer: Buffer.from("PING\r\n") };
}

async function connectPublisher(settings: DriverSettings, events: PublisherEvents): Promise<Publisher> {
  let publisher: BlockPublisher | undefined;
  const { socket } = await open(
    settings,
    {
      onMessage: () => undefined,
      onPong: () => publisher?.answeredWrite(),
      onChunkEnd: () => undefined,
    },
    (error) => publisher?.failed(error),
  );
  publisher = new BlockPublisher(socket, publishTemplate(settings), events, settings);
  return publisher;
}

async function connectConsumer(settings: DriverSettings, events: ConsumerEvents): Promise<Consumer> {
  const batch = new ValueBatch(events);
  const { socket, ping } = await open(
    settings,
    {
      onMessage: (bytes, start, end) => batch.add(bytes, start, end),
      onPong: () => undefined,
      onChunkEnd: () => batch.announce(),
    },
    events.failed,
  );
  socket.write(`SUB ${settings.target} 1\r\n`);
  await ping();
  return { close: () => socket.close() };
}

export const driver: Driver = {
  client: "raw socket (Node)",
  prepare: () => Promise.resolve(),
  connectPublisher,
  connectConsumer,
};
