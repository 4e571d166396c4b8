/**
 * The floor: a bare uWebSockets.js server that forwards each frame of any publisher to all subscribers, and echoes at /echo.
 * It never drops: publishers hear how many of their frames are forwarded only while no subscriber is far behind.
 */

import type { WebSocket } from "uWebSockets.js";
import { serveCommands } from "@millrace/load/internal";
import { listen } from "../../limits/yardsticks/listen.ts";

export interface RelayServerCommands {
  listen(args: null): Promise<string>;
}

interface PublisherState {
  forwarded: number;
  answered: number;
}
type PublisherSocket = WebSocket<PublisherState>;

/** Above this a subscriber is behind, and no publisher hears anything until it has caught up. */
const BUFFERED_BYTES_MAX = 1024 * 1024;

const TOPIC = "all";

const subscribers = new Set<WebSocket<undefined>>();
const publishers = new Set<PublisherSocket>();
let answerDue = false;
const answer = new Uint8Array(4);
const answerView = new DataView(answer.buffer);

let forward = (_message: ArrayBuffer): void => undefined;

function answerLater(): void {
  if (answerDue) return;
  // One answer per turn of the event loop: one for each frame would make the floor slower than it need be.
  answerDue = true;
  setImmediate(answerPublishers);
}

function answerPublishers(): void {
  answerDue = false;
  for (const subscriber of subscribers) {
    // `drain` comes back to it.
    if (subscriber.getBufferedAmount() >= BUFFERED_BYTES_MAX) return;
  }
  for (const publisher of publishers) {
    const state = publisher.getUserData();
    if (state.forwarded === state.answered) continue;
    answerView.setUint32(0, state.forwarded - state.answered);
    state.answered = state.forwarded;
    publisher.send(answer, true);
  }
}

const common = { maxPayloadLength: 4 * 1024 * 1024, maxBackpressure: 0, idleTimeout: 0 };

serveCommands<RelayServerCommands>({
  listen: () =>
    listen((app) => {
      // uWebSockets.js' own publish: it writes what one turn of the loop has for a subscriber at once.
      forward = (message) => void app.publish(TOPIC, message, true);
      app.ws<PublisherState>("/publish", {
        ...common,
        upgrade: (response, request, context) => {
          response.upgrade(
            { forwarded: 0, answered: 0 },
            request.getHeader("sec-websocket-key"),
            request.getHeader("sec-websocket-protocol"),
            request.getHeader("sec-websocket-extensions"),
            context,
          );
        },
        open: (socket) => void publishers.add(socket),
        message: (socket, message) => {
          socket.getUserData().forwarded++;
          forward(message);
          answerLater();
        },
        close: (socket) => void publishers.delete(socket),
      });
      app.ws<undefined>("/subscribe", {
        ...common,
        open: (socket) => {
          subscribers.add(socket);
          socket.subscribe(TOPIC);
        },
        drain: answerLater,
        close: (socket) => void subscribers.delete(socket),
      });
      app.ws<undefined>("/echo", {
        ...common,
        message: (socket, message) => {
          socket.send(message, true);
        },
      });
    }),
});
