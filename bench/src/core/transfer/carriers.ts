import { copyLoopSides } from "./copy-loop.ts";
import { postMessageSides } from "./post-message.ts";
import { manyToOneSides, ringClaimSides, ringWriteSides } from "./ring-carriers.ts";
import {
  ringbufBatchSides,
  ringbufCallbackSides,
  ringbufFloat64Sides,
  ringbufRecordSides,
} from "./ringbuf-carriers.ts";
import type { Carrier, CarrierSides } from "./transfer-spec.ts";

const SIDES: Readonly<Record<Carrier, CarrierSides>> = {
  "ring-write": ringWriteSides,
  "ring-claim": ringClaimSides,
  "many-to-one": manyToOneSides,
  "ringbuf-record": ringbufRecordSides,
  "ringbuf-batch": ringbufBatchSides,
  "ringbuf-callback": ringbufCallbackSides,
  "ringbuf-float64": ringbufFloat64Sides,
  "post-message": postMessageSides,
  "copy-loop": copyLoopSides,
};

export function sidesOf(carrier: Carrier): CarrierSides {
  return SIDES[carrier];
}
