import t from "tap";
import { BROKER_LIMITS } from "../../src/limits.ts";
import { LaneCredit, LaneWindow } from "../../src/peer/lane-credit.ts";
import { PeerProtocolError } from "../../src/peer/link-layout.ts";
import { forSeeds } from "../harness/seeded.ts";

t.test("no credit is lost or made, whatever is under way and however often it is said", async (t) => {
  forSeeds(200, (random) => {
    const windowBytes = 8 * (1_000 + random.below(5_000));
    const recordMax = 8 * Math.floor((windowBytes * (1 - BROKER_LIMITS.peerCreditPart)) / 8);
    const sender = new LaneCredit(windowBytes);
    const receiver = new LaneWindow(windowBytes);
    /** What is on its way, and what the receiver holds; the model of both sides is these two lists. */
    const onTheWay: number[] = [];
    const held: number[] = [];
    const grants: number[] = [];
    let sent = 0;
    let told = windowBytes;
    for (let step = 0; step < 2_000; step += 1) {
      const choice = random.below(5);
      if (choice <= 1) {
        const bytes = 8 * (1 + random.below(random.oneIn(4) ? recordMax / 8 : 40));
        const outstanding = sent + bytes;
        const taken = sender.take(bytes);
        if (taken !== outstanding <= told) throw new Error(`take: taken=${taken} told=${told} sent=${sent}`);
        if (taken) {
          sent += bytes;
          onTheWay.push(bytes);
        }
      } else if (choice === 2 && onTheWay.length > 0) {
        const bytes = onTheWay.shift() as number;
        receiver.receive(bytes);
        held.push(bytes);
      } else if (choice === 3 && held.length > 0) {
        receiver.take(held.shift() as number);
        const limit = receiver.grant();
        if (limit >= 0) grants.push(limit);
      } else if (choice === 4 && grants.length > 0) {
        const limit = grants.shift() as number;
        if (!sender.raise(limit)) throw new Error("a grant that grants nothing");
        told = limit;
        if (random.oneIn(3) && sender.raise(limit)) throw new Error("a grant said twice counted twice");
      }
      const inFlight = [...onTheWay, ...held].reduce((sum, bytes) => sum + bytes, 0);
      if (inFlight > windowBytes)
        throw new Error(`more than the window is out: ${inFlight} > ${windowBytes}`);
    }
    // When all is taken up and told, the longest record can go: nothing is stuck for want of a grant.
    for (const bytes of onTheWay) {
      receiver.receive(bytes);
      held.push(bytes);
    }
    for (const bytes of held) {
      receiver.take(bytes);
      const limit = receiver.grant();
      if (limit >= 0) grants.push(limit);
    }
    for (const limit of grants) sender.raise(limit);
    if (!sender.take(recordMax)) throw new Error(`stuck: available=${sender.available} record=${recordMax}`);
  });
  t.pass();
});

t.test("who sends without credit, or is told what cannot be, is refused", async (t) => {
  const receiver = new LaneWindow(800);
  receiver.receive(800);
  t.throws(() => receiver.receive(8), PeerProtocolError);
  const sender = new LaneCredit(800);
  sender.take(400);
  t.throws(() => sender.raise(1_208), PeerProtocolError);
  t.ok(sender.raise(1_200));
  t.notOk(sender.raise(1_000), "an older one changes nothing");
  t.equal(sender.available, 800);
});
