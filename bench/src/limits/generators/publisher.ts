/**
 * Generator `publisher`: one raw connection that replays pre-encoded, pre-masked PUBLISH frames, pipelined, to
 * a sink, a relay or a broker. It holds one connection at a time to each of them and loads one at a time.
 */
import { reportFailure, serveCommands } from "@millrace/load/internal";
import type { Counters } from "../../harness/sampling.ts";
import { BrokerSession } from "../../wire/broker-session.ts";
import { FrameScanner } from "../../wire/frame-scanner.ts";
import { buildPublishBlock, type PublishBlock } from "../../wire/publish-block.ts";
import { PublishLoad } from "../../wire/publish-load.ts";
import { RawConnection } from "../../wire/raw-connection.ts";
import { SINK_ANSWER_BYTES } from "../yardsticks/sink-answer.ts";

export interface BlockShape {
  readonly valueBytes: number;
  readonly batchBytes: number;
}

export type PublishTo = "sink" | "relay" | "broker";

export interface PublisherCommands {
  connect(args: { to: "sink" | "relay"; url: string; shape: BlockShape; windowBytes: number }): Promise<void>;
  /** Creates the topic, with one partition; returns records and stored bytes of one frame. */
  connectBroker(args: {
    url: string;
    topic: string;
    durability: string;
    shape: BlockShape;
  }): Promise<{ recordsPerFrame: number; payloadBytes: number }>;
  start(args: { to: PublishTo }): void;
  mark(args: { to: PublishTo }): Counters;
  /** Resolves when all is answered. */
  stop(args: { to: PublishTo }): Promise<{ throttledRecords: number }>;
}

const BLOCK_BYTES = 1024 * 1024;
const loads = new Map<PublishTo, { load: PublishLoad; block: PublishBlock }>();

async function connectYardstick(
  to: "sink" | "relay",
  url: string,
  shape: BlockShape,
  windowBytes: number,
): Promise<void> {
  const block = buildPublishBlock({ ...shape, topicIds: [1] }, BLOCK_BYTES);
  let inFlightBytes = 0;
  const answered = (frames: number): void => {
    inFlightBytes -= frames * block.frameBytes;
    load.answered(frames);
  };
  const onChunk = to === "sink" ? sinkAnswers(answered) : relayAnswers(answered);
  const connection = await RawConnection.open(url, onChunk, reportFailure);
  const load = new PublishLoad(block, {
    room: () => windowBytes - inFlightBytes,
    starved: () => undefined,
    write: (bytes, frames, onWritten) => {
      inFlightBytes += frames * block.frameBytes;
      connection.write(bytes, onWritten);
    },
  });
  loads.set(to, { load, block });
}

/** Every answer of the sink is equally long, so counting bytes counts answers. */
function sinkAnswers(answered: (frames: number) => void): (chunk: Buffer, length: number) => void {
  const answerBytes = 2 + SINK_ANSWER_BYTES;
  let bytes = 0;
  return (_chunk, length) => {
    bytes += length;
    const frames = Math.floor(bytes / answerBytes);
    bytes -= frames * answerBytes;
    answered(frames);
  };
}

/** The relay answers with the number of frames that it has forwarded since its last answer. */
function relayAnswers(answered: (frames: number) => void): (chunk: Buffer, length: number) => void {
  const scanner = new FrameScanner({
    onFrame: (chunk, start) => answered(chunk.readUInt32BE(start)),
    onPing: () => undefined,
    onEntry: () => undefined,
    onDelivered: () => undefined,
  });
  return scanner.push;
}

async function connectBroker(
  args: Parameters<PublisherCommands["connectBroker"]>[0],
): Promise<{ recordsPerFrame: number; payloadBytes: number }> {
  let creditRequested = false;
  const session = await BrokerSession.open(args.url, "bench-publisher", {
    onAck: (records) => {
      creditRequested = false;
      load.answered(records / block.recordsPerFrame);
    },
    onThrottled: (records, retryAfterMs) => load.throttled(records / block.recordsPerFrame, retryAfterMs),
    onEntry: () => undefined,
    onDelivered: () => undefined,
    onFailure: reportFailure,
  });
  const topicId = await session.createTopic(args.topic, args.durability);
  const block = buildPublishBlock({ ...args.shape, topicIds: [topicId] }, BLOCK_BYTES);
  const load = new PublishLoad(block, {
    // The broker's credit is the only limit: what it grants, it must be able to bear.
    room: () => session.publishCreditLimit - session.publishedBytes,
    starved: () => {
      if (creditRequested) return;
      creditRequested = true;
      session.requestCredit(block.frameBytes);
    },
    write: (bytes, frames, onWritten) => {
      session.publishedBytes += frames * block.frameBytes;
      session.write(bytes, onWritten);
    },
  });
  loads.set("broker", { load, block });
  return { recordsPerFrame: block.recordsPerFrame, payloadBytes: block.payloadBytes };
}

function loadOf(to: PublishTo): { load: PublishLoad; block: PublishBlock } {
  const found = loads.get(to);
  if (found === undefined) throw new Error(`not connected: to=${to}`);
  return found;
}

serveCommands<PublisherCommands>({
  connect: ({ to, url, shape, windowBytes }) => connectYardstick(to, url, shape, windowBytes),
  connectBroker,
  start: ({ to }) => loadOf(to).load.start(),
  mark: ({ to }) => loadOf(to).load.mark(),
  stop: async ({ to }) => {
    const { load, block } = loadOf(to);
    await load.stop();
    return { throttledRecords: load.framesThrottled * block.recordsPerFrame };
  },
});
