import t from "tap";
import { Enumeration } from "./stepwise/many-to-one-enumeration.ts";

/** What takes a minute: the nightly lane sets MILLRACE_STRESS_SECONDS. */
const skip = process.env.MILLRACE_STRESS_SECONDS === undefined ? "set MILLRACE_STRESS_SECONDS" : false;

t.test("two producers and the consumer, in every order, from every start", { skip }, async (t) => {
  const enumeration = await Enumeration.ofRing(true, (text) => t.comment(text));
  enumeration.live();
  enumeration.deaths();
  enumeration.blocked();
});
