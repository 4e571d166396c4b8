/** Redis pub/sub without a client library: blocks of encoded PUBLISH commands, and a scanner that counts messages. */
import type { Consumer, ConsumerEvents, Driver, DriverSettings } from "@millrace/load";
import { PlainSocket } from "../raw/plain-socket.ts";
import { ValueBatch } from "../raw/value-batch.ts";
import { connectRawPublisher } from "./raw-redis-publisher.ts";
import { encodeCommand } from "./resp-command.ts";
import { RespScanner } from "./resp-scanner.ts";

async function connectConsumer(settings: DriverSettings, events: ConsumerEvents): Promise<Consumer> {
  const batch = new ValueBatch(events);
  let onSubscribed: (() => void) | undefined;
  const subscribed = new Promise<void>((resolve) => {
    onSubscribed = resolve;
  });
  const scanner = new RespScanner({
    // [message, channel, value]; the answer to SUBSCRIBE has a number in the third place.
    onBulk: (bytes, start, end, _depth, index) => {
      if (index === 2) batch.add(bytes, start, end);
    },
    onReply: () => {
      onSubscribed?.();
      onSubscribed = undefined;
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
  socket.write(encodeCommand(["SUBSCRIBE", settings.target]));
  await subscribed;
  return { close: () => socket.close() };
}

export const driver: Driver = {
  client: "raw socket (Node)",
  prepare: () => Promise.resolve(),
  connectPublisher: (settings, events) => connectRawPublisher(settings, events, ["PUBLISH", settings.target]),
  connectConsumer,
};
