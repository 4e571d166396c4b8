import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { monotonicMs } from "@millrace/load/internal";
import { END_SEQUENCE, type PingPongSetup } from "./ping-pong-spec.ts";
import { RingEnd } from "./ring-end.ts";
import { RoundTrips } from "./round-trips.ts";

const { spec, requests, replies, echoBell, askerBell, port } = workerData as PingPongSetup;
const trips = new RoundTrips(spec);
if (spec.by === "message-port") askByPort(port as MessagePort);
else askByRing(new RingEnd(spec.by, requests, replies, askerBell, echoBell));

function askByRing(end: RingEnd): void {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let sequence = 0; ; sequence = (sequence + 1) | 0) {
    if (spec.gapMs > 0) Atomics.wait(pause, 0, 0, spec.gapMs);
    const sentMs = monotonicMs();
    end.send(sequence & 0xffff);
    const received = end.receive();
    const more = trips.record(sentMs, monotonicMs());
    if (received !== (sequence & 0xffff)) refuse(received, sequence);
    if (!more) break;
  }
  end.send(END_SEQUENCE);
  parentPort?.postMessage(trips.result());
}

function askByPort(target: MessagePort): void {
  let sequence = 0;
  let sentMs = 0;
  const ask = (): void => {
    sentMs = monotonicMs();
    target.postMessage(sequence);
  };
  target.on("message", (received: number) => {
    const more = trips.record(sentMs, monotonicMs());
    if (received !== sequence) refuse(received, sequence);
    sequence = (sequence + 1) & 0xffff;
    if (!more) {
      target.postMessage(END_SEQUENCE);
      target.close();
      parentPort?.postMessage(trips.result());
    } else if (spec.gapMs > 0) {
      setTimeout(ask, spec.gapMs);
    } else {
      ask();
    }
  });
  ask();
}

function refuse(received: number, sequence: number): never {
  throw new Error(`wrong reply: received=${received} sequence=${sequence}`);
}
