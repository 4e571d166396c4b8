import type { ConnectPinger } from "../../suite/subjects/subject.ts";
import { PlainSocket } from "../raw/plain-socket.ts";
import { NatsScanner } from "./nats-scanner.ts";

/** One process has ten thousand of them. */
const READ_BUFFER_BYTES = 2048;

/** PING, and the PONG that answers it. */
export const connectPinger: ConnectPinger = async (endpoint) => {
  let answered = (): void => undefined;
  let refused: (error: Error) => void = () => undefined;
  const answer = (): Promise<void> =>
    new Promise((resolve, reject) => {
      answered = resolve;
      refused = reject;
    });
  const scanner = new NatsScanner({
    onMessage: () => undefined,
    onInfo: () => undefined,
    onPing: () => socket.write("PONG\r\n"),
    onPong: () => answered(),
  });
  const socket = await PlainSocket.open(endpoint, scanner.push, (error) => refused(error), READ_BUFFER_BYTES);
  const ping = async (): Promise<void> => {
    const pong = answer();
    socket.write("PING\r\n");
    await pong;
  };
  socket.write('CONNECT {"verbose":false,"pedantic":false,"lang":"raw","version":"0"}\r\n');
  await ping();
  return { ping, close: () => socket.close() };
};
