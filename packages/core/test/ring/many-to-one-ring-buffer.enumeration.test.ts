import t from "tap";
import { Enumeration } from "./stepwise/many-to-one-enumeration.ts";

/**
 * All interleavings of two producers and the consumer on the smallest ring, one access to shared memory at a time, in the
 * compiled code itself; from start positions at the end of the data region and where the 32-bit positions wrap.
 */
t.test("two producers and the consumer, in every order", async (t) => {
  const enumeration = await Enumeration.ofRing(false, (text) => t.comment(text));
  enumeration.live();
  enumeration.deaths();
  enumeration.blocked();
});
