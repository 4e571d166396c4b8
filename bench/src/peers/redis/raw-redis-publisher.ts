import type { DriverSettings, Publisher, PublisherEvents } from "@millrace/load";
import { BlockPublisher } from "../raw/block-publisher.ts";
import { PlainSocket } from "../raw/plain-socket.ts";
import { commandTemplate } from "./resp-command.ts";
import { RespScanner } from "./resp-scanner.ts";

/** Publishes blocks of one command, whose last part is the value, and counts the replies. */
export async function connectRawPublisher(
  settings: DriverSettings,
  events: PublisherEvents,
  command: readonly string[],
): Promise<Publisher> {
  let publisher: BlockPublisher | undefined;
  let replies = 0;
  const scanner = new RespScanner({
    onBulk: () => undefined,
    onReply: () => {
      replies++;
    },
  });
  const socket = await PlainSocket.open(
    settings.endpoint,
    (chunk, length) => {
      scanner.push(chunk, length);
      const fresh = replies;
      replies = 0;
      if (fresh > 0) publisher?.answered(fresh);
    },
    (error) => publisher?.failed(error),
  );
  publisher = new BlockPublisher(socket, commandTemplate(command, settings.valueBytes), events, settings);
  return publisher;
}
