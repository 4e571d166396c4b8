/**
 * Raw sockets to the relay: WebSocket frames of values one behind the other, as many as a batch holds. Acknowledged is what the
 * relay has forwarded.
 */
import type {
  Consumer,
  ConsumerEvents,
  Driver,
  DriverSettings,
  Publisher,
  PublisherEvents,
  Requester,
} from "@millrace/load";
import { RawConnection } from "../../wire/raw-connection.ts";
import { InFlightWindow } from "../in-flight-window.ts";
import { ValueBatch } from "../raw/value-batch.ts";
import { HEAD_BYTES_MAX, ServerFrames, writeClientHead } from "./relay-frames.ts";

/** Bytes of values that are sent and not forwarded yet. */
const WINDOW_BYTES = 4 * 1024 * 1024;
/** One write to the socket. */
const WRITE_BYTES = 64 * 1024;

class RelayPublisher implements Publisher {
  readonly #connection: RawConnection;
  readonly #valueBytes: number;
  readonly #recordsPerFrame: number;
  readonly #window: InFlightWindow;
  /** The frame that fills, behind room for its head. */
  readonly #frame: Buffer;
  #records = 0;
  /** Whole frames that are not written yet. */
  #ready: Buffer[] = [];
  #readyBytes = 0;
  /** Records of each frame that is not forwarded yet, oldest first, from #oldest on. */
  #frames: number[] = [];
  #oldest = 0;

  constructor(connection: RawConnection, settings: DriverSettings, window: InFlightWindow) {
    const { valueBytes, batchBytes } = settings;
    this.#connection = connection;
    this.#valueBytes = valueBytes;
    this.#recordsPerFrame = Math.max(1, Math.floor(batchBytes / valueBytes));
    this.#window = window;
    this.#frame = Buffer.alloc(HEAD_BYTES_MAX + this.#recordsPerFrame * valueBytes);
  }

  publish(value: Uint8Array): boolean {
    if (this.#window.full) return false;
    this.#frame.set(value, HEAD_BYTES_MAX + this.#records * this.#valueBytes);
    this.#window.taken(1);
    if (++this.#records === this.#recordsPerFrame) this.#finishFrame();
    if (this.#readyBytes >= WRITE_BYTES) this.#write();
    return true;
  }

  room(): Promise<void> {
    return this.#window.room();
  }

  /** A frame that is not full waits for more, but only while others are under way. */
  push(): void {
    if (this.#frames.length === this.#oldest) this.#finishFrame();
    this.#write();
  }

  async flush(): Promise<void> {
    this.#finishFrame();
    this.#write();
    await this.#window.empty();
  }

  close(): Promise<void> {
    this.#connection.close();
    return Promise.resolve();
  }

  forwarded(frames: number): void {
    let records = 0;
    for (let left = frames; left > 0; left--) records += this.#frames[this.#oldest++] as number;
    if (this.#oldest === this.#frames.length || this.#oldest > 10_000) {
      this.#frames = this.#frames.slice(this.#oldest);
      this.#oldest = 0;
    }
    this.#window.acknowledged(records);
    if (this.#frames.length === this.#oldest) this.push();
  }

  #finishFrame(): void {
    if (this.#records === 0) return;
    const payloadBytes = this.#records * this.#valueBytes;
    const start = writeClientHead(this.#frame, payloadBytes);
    const whole = Buffer.from(this.#frame.subarray(start, HEAD_BYTES_MAX + payloadBytes));
    this.#ready.push(whole);
    this.#readyBytes += whole.length;
    this.#frames.push(this.#records);
    this.#records = 0;
  }

  #write(): void {
    if (this.#ready.length === 0) return;
    this.#connection.write(
      this.#ready.length === 1 ? (this.#ready[0] as Buffer) : Buffer.concat(this.#ready),
    );
    this.#ready = [];
    this.#readyBytes = 0;
  }
}

async function connectPublisher(settings: DriverSettings, events: PublisherEvents): Promise<Publisher> {
  let publisher: RelayPublisher | undefined;
  const window = new InFlightWindow(events, Math.ceil(WINDOW_BYTES / settings.valueBytes));
  const frames = new ServerFrames((bytes, start) => publisher?.forwarded(bytes.readUInt32BE(start)));
  const connection = await RawConnection.open(`${settings.endpoint.url}/publish`, frames.push, (error) =>
    window.failed(error),
  );
  publisher = new RelayPublisher(connection, settings, window);
  return publisher;
}

async function connectConsumer(settings: DriverSettings, events: ConsumerEvents): Promise<Consumer> {
  const { valueBytes } = settings;
  const batch = new ValueBatch(events);
  const frames = new ServerFrames((bytes, start, end) => {
    for (let at = start; at < end; at += valueBytes) batch.add(bytes, at, at + valueBytes);
  });
  const onChunk = (chunk: Buffer, length: number): void => {
    frames.push(chunk, length);
    batch.announce();
  };
  const connection = await RawConnection.open(`${settings.endpoint.url}/subscribe`, onChunk, events.failed);
  return {
    close: () => {
      connection.close();
      return Promise.resolve();
    },
  };
}

async function connectRequester(settings: DriverSettings): Promise<Requester> {
  const waiting: { resolve(): void; reject(error: Error): void }[] = [];
  // Echoes come in the order of the requests.
  const frames = new ServerFrames(() => waiting.shift()?.resolve());
  const connection = await RawConnection.open(`${settings.endpoint.url}/echo`, frames.push, (error) => {
    for (const { reject } of waiting.splice(0)) reject(error);
  });
  return {
    request: (value) =>
      new Promise((resolve, reject) => {
        const frame = Buffer.alloc(HEAD_BYTES_MAX + value.length);
        frame.set(value, HEAD_BYTES_MAX);
        const start = writeClientHead(frame, value.length);
        waiting.push({ resolve, reject });
        connection.write(frame.subarray(start));
      }),
    close: () => {
      connection.close();
      return Promise.resolve();
    },
  };
}

export const driver: Driver = {
  client: "raw socket (Node)",
  prepare: () => Promise.resolve(),
  connectPublisher,
  connectConsumer,
  connectRequester,
  /** The relay echoes by itself. */
  connectResponder: () => Promise.resolve({ close: () => Promise.resolve() }),
};
