// The analysis server: keeps running figures per airport. It may be killed at any moment; started again, it goes on
// from the moment of failure, which it finds in its own state file.
// node analysis-server.js URL TOPIC STATE_FILE offset|time
import { connect, type SubscribeFrom } from "@millrace/client";
import { addFlight } from "./airport-figures.ts";
import { type AnalysisState, emptyState, loadState, saveState } from "./analysis-state.ts";
import type { Flight } from "./flight.ts";

/** Flights between two saves: so many are analysed again after a failure. */
const SAVE_EVERY = 3_000;

const [url = "", topic = "", stateFile = "", restartBy = ""] = process.argv.slice(2);
const client = await connect(url, { name: "flights-analysis-server" });
const { partitions, topicId } = await client.topics.describe(topic);
const saved = loadState(stateFile);
const state = saved ?? emptyState(partitions);
state.topicId ??= topicId;
process.send?.({ resumedAt: state.flights });

const subscription = client.subscribe(topic, { from: saved === undefined ? "earliest" : momentOf(state) });
process.once("SIGTERM", () => void subscription.close());
let savedFlights = state.flights;
for await (const record of subscription) {
  const position = state.partitions[record.partition];
  if (position === undefined) throw new Error(`partition ${record.partition} is new`);
  // A time is where to begin reading, not what has been counted: the offsets tell, to the record.
  if (record.offset < position.nextOffset) continue;
  if (record.offset > position.nextOffset) throw new Error(`records missing before offset ${record.offset}`);
  addFlight(state.figures, record.value as Flight);
  position.nextOffset = record.offset + 1;
  position.lastTimeMs = record.timestamp;
  state.flights++;
  if (state.flights - savedFlights >= SAVE_EVERY) save();
  if (state.flights % 1_000 === 0) process.send?.({ analysed: state.flights });
}
save();
await client.close();
process.disconnect?.();

function save(): void {
  saveState(stateFile, state);
  savedFlights = state.flights;
}

/** Where to go on. */
function momentOf(state: AnalysisState): SubscribeFrom {
  if (restartBy === "time") {
    // Times never go back within a partition, so every flight not yet counted was stored at this time or later.
    return { time: Math.min(...state.partitions.map((partition) => partition.lastTimeMs)) };
  }
  return {
    offsets: new Map(state.partitions.map(({ partition, nextOffset }) => [partition, nextOffset])),
    topicId: state.topicId,
  };
}
