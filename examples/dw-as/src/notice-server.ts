// A notice server: tells the passengers of late flights. Any number of them share the work of one subscription of mode
// queue, each flight going to one of them; the broker remembers which are done with, so there is nothing to save here.
// node notice-server.js URL TOPIC SUBSCRIPTION
import { connect } from "@millrace/client";
import type { Flight } from "./flight.ts";
import { needsNotice } from "./notice.ts";

const [url = "", topic = "", subscription = ""] = process.argv.slice(2);
let handled = 0;
let notices = 0;

const client = await connect(url, { name: "flights-notice-server" });
const consumer = client.consume(
  topic,
  // Small work, and much of it: a stock in hand saves waiting for the next flight.
  { subscription, mode: "queue", prefetch: 1_000 },
  (message) => {
    if (needsNotice(message.value as Flight)) notices++;
    handled++;
  },
  { concurrency: 100 },
);
process.once("SIGTERM", () => void consumer.close());
await consumer.closed;
await client.close();
process.send?.({ handled, notices });
process.disconnect?.();
