/** Redis Streams without a client library: blocks of encoded XADD commands; XREAD, or XREADGROUP with XACK, and a scanner. */
import type { Consumer, ConsumerEvents, Driver, DriverSettings } from "@millrace/load";
import { PlainSocket } from "../raw/plain-socket.ts";
import { ValueBatch } from "../raw/value-batch.ts";
import { connectRawPublisher } from "./raw-redis-publisher.ts";
import { addCommand, driver as clientDriver, READ_COUNT } from "./redis-streams-driver.ts";
import { encodeCommand } from "./resp-command.ts";
import { RespScanner } from "./resp-scanner.ts";

/** Where ids and values stand in [[stream, [[id, [field, value]], ...]]]. */
const ID_DEPTH = 4;
const VALUE_DEPTH = 5;

let consumers = 0;

async function connectConsumer(settings: DriverSettings, events: ConsumerEvents): Promise<Consumer> {
  const { target, subscription, slots } = settings;
  const queue = settings.mode === "queue";
  const name = `raw-${process.pid}-${++consumers}`;
  const count = String(queue ? Math.min(READ_COUNT, slots) : READ_COUNT);
  const batch = new ValueBatch(events);
  let ids: string[] = [];
  let lastId = "0";
  /** Entries of each XACK that is not answered yet; its reply comes before that of the read behind it. */
  let acked = 0;
  let onPosition: (() => void) | undefined;
  const read = (): void => {
    const group = [
      "XREADGROUP",
      "GROUP",
      subscription,
      name,
      "COUNT",
      count,
      "BLOCK",
      "0",
      "STREAMS",
      target,
      ">",
    ];
    const plain = ["XREAD", "COUNT", count, "BLOCK", "0", "STREAMS", target, lastId];
    socket.write(encodeCommand(queue ? group : plain));
  };
  const onReply = (): void => {
    if (onPosition !== undefined) {
      onPosition();
      onPosition = undefined;
    } else if (acked > 0) {
      events.settled(acked);
      acked = 0;
    } else {
      if (queue && ids.length > 0) {
        acked = ids.length;
        socket.write(encodeCommand(["XACK", target, subscription, ...ids]));
        ids = [];
      }
      read();
    }
  };
  const scanner = new RespScanner({
    onBulk: (bytes, start, end, depth, index) => {
      if (depth === VALUE_DEPTH && index === 1) batch.add(bytes, start, end);
      else if (depth === ID_DEPTH && index === 0) {
        lastId = bytes.toString("latin1", start, end);
        if (queue) ids.push(lastId);
      } else if (depth === 2 && index === 0 && onPosition !== undefined) {
        lastId = bytes.toString("latin1", start, end);
      }
    },
    onReply: () => {
      batch.announce();
      onReply();
    },
  });
  const socket = await PlainSocket.open(
    settings.endpoint,
    (chunk, length) => {
      scanner.push(chunk, length);
      batch.announce();
    },
    events.failed,
  );
  if (settings.mode === "live" || (settings.mode === "stream" && settings.from === "latest")) {
    await new Promise<void>((resolve) => {
      onPosition = resolve;
      socket.write(encodeCommand(["XREVRANGE", target, "+", "-", "COUNT", "1"]));
    });
  }
  read();
  return { close: () => socket.close() };
}

export const driver: Driver = {
  client: "raw socket (Node)",
  prepare: clientDriver.prepare,
  connectPublisher: (settings, events) => connectRawPublisher(settings, events, addCommand(settings)),
  connectConsumer,
};
