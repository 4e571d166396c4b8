/**
 * Yardstick `sink`: a bare uWebSockets.js server that counts frames and answers each with a small one. No
 * broker on uWebSockets.js can take frames from a connection faster.
 */
import { serveCommands } from "@millrace/load/internal";
import { listen } from "./listen.ts";
import { SINK_ANSWER_BYTES } from "./sink-answer.ts";

export interface SinkCommands {
  listen(args: null): Promise<string>;
  frames(args: null): number;
}

let frames = 0;
const answer = new Uint8Array(SINK_ANSWER_BYTES);

serveCommands<SinkCommands>({
  listen: () =>
    listen((app) => {
      app.ws("/*", {
        maxPayloadLength: 4 * 1024 * 1024,
        maxBackpressure: 0,
        idleTimeout: 0,
        message: (socket) => {
          frames++;
          socket.send(answer, true);
        },
      });
    }),
  frames: () => frames,
});
