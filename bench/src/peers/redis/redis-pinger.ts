import type { ConnectPinger } from "../../suite/subjects/subject.ts";
import { PlainSocket } from "../raw/plain-socket.ts";
import { RespScanner } from "./resp-scanner.ts";

const PING = "*1\r\n$4\r\nPING\r\n";

/** One process has ten thousand of them. */
const READ_BUFFER_BYTES = 2048;

/** PING, and the PONG that answers it. */
export const connectPinger: ConnectPinger = async (endpoint) => {
  let answered = (): void => undefined;
  let refused: (error: Error) => void = () => undefined;
  const scanner = new RespScanner({ onBulk: () => undefined, onReply: () => answered() });
  const socket = await PlainSocket.open(endpoint, scanner.push, (error) => refused(error), READ_BUFFER_BYTES);
  return {
    ping: () =>
      new Promise((resolve, reject) => {
        answered = resolve;
        refused = reject;
        socket.write(PING);
      }),
    close: () => socket.close(),
  };
};
