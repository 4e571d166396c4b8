import { type MessagePort, workerData } from "node:worker_threads";
import { END_SEQUENCE, type PingPongSetup } from "./ping-pong-spec.ts";
import { RingEnd } from "./ring-end.ts";

const { spec, requests, replies, echoBell, askerBell, port } = workerData as PingPongSetup;
if (spec.by === "message-port") echoByPort(port as MessagePort);
else echoByRing(new RingEnd(spec.by, replies, requests, echoBell, askerBell));

function echoByRing(end: RingEnd): void {
  for (;;) {
    const sequence = end.receive();
    if (sequence === END_SEQUENCE) return;
    end.send(sequence);
  }
}

function echoByPort(target: MessagePort): void {
  target.on("message", (sequence: number) => {
    if (sequence === END_SEQUENCE) target.close();
    else target.postMessage(sequence);
  });
}
