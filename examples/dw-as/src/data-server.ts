// The data server: replays the flights, in their order, into the topic, keyed by the airport that they left.
// node data-server.js URL TOPIC FLIGHTS_PER_SECOND
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "@millrace/client";
import { readFlights } from "./flight-file.ts";

const [url = "", topic = "", flightsPerSecond = ""] = process.argv.slice(2);
const TICK_MS = 20;
const perTick = Math.max(1, Math.round((Number(flightsPerSecond) * TICK_MS) / 1000));

const flights = await readFlights();
const client = await connect(url, { name: "flights-data-server" });
const producer = client.producer(topic);
await producer.ready();
for (let at = 0; at < flights.length; at += perTick) {
  for (const flight of flights.slice(at, at + perTick)) {
    if (!producer.hasRoom) await producer.room();
    // The promise of the batch: a failure is reported by flush() too.
    producer.append({ key: flight.origin, value: flight }).catch(() => {});
  }
  await sleep(TICK_MS);
}
await producer.flush();
await client.close();
process.send?.({ published: flights.length });
process.disconnect?.();
