/**
 * Yardstick `relay`: a bare uWebSockets.js server that forwards each frame of its publisher to its one
 * subscriber. It never drops: uWebSockets.js cannot pause a WebSocket, so the publisher keeps a window, and
 * the relay tells it how many frames are forwarded only while the subscriber keeps up.
 */

import type { WebSocket } from "uWebSockets.js";
import { serveCommands } from "@millrace/load/internal";
import { listen } from "./listen.ts";

export interface RelayCommands {
  listen(args: null): Promise<string>;
}

type Socket = WebSocket<undefined>;

/** Above this the subscriber is behind and the publisher hears nothing until it has caught up. */
const BUFFERED_BYTES_MAX = 1024 * 1024;

let subscriber: Socket | undefined;
let publisher: Socket | undefined;
let forwarded = 0;
let answered = 0;
let answerDue = false;
const answer = new Uint8Array(4);
const answerView = new DataView(answer.buffer);

function forward(message: ArrayBuffer): void {
  if (subscriber === undefined) return;
  subscriber.send(message, true);
  forwarded++;
  if (answerDue) return;
  // One answer per turn of the event loop: one for each frame would make the yardstick slower than it need be.
  answerDue = true;
  setImmediate(answerPublisher);
}

function answerPublisher(): void {
  answerDue = false;
  if (publisher === undefined || subscriber === undefined || forwarded === answered) return;
  // Behind: `drain` comes back to it.
  if (subscriber.getBufferedAmount() >= BUFFERED_BYTES_MAX) return;
  answerView.setUint32(0, forwarded - answered);
  answered = forwarded;
  publisher.send(answer, true);
}

const common = { maxPayloadLength: 4 * 1024 * 1024, maxBackpressure: 0, idleTimeout: 0 };

serveCommands<RelayCommands>({
  listen: () =>
    listen((app) => {
      app.ws<undefined>("/publish", {
        ...common,
        open: (socket) => {
          publisher = socket;
        },
        message: (_socket, message) => forward(message),
        close: () => {
          publisher = undefined;
        },
      });
      app.ws<undefined>("/subscribe", {
        ...common,
        open: (socket) => {
          subscriber = socket;
        },
        drain: answerPublisher,
        close: () => {
          subscriber = undefined;
        },
      });
    }),
});
