import { writeSync } from "node:fs";
import { InlineSyncer, Journal, RealStorage, type Storage } from "../src/internal.ts";
import { InterruptedStorage } from "./interrupted-storage.ts";
import { Recorder } from "./simulated-world.ts";

/**
 * An owner in a process of its own, for stopped-owner.test: appends and commits entries, tells of each that is committed, and
 * stops its own process before one of its calls of the storage. Arguments: the folder, the number of that call from the first
 * entry on.
 */
const [, , directory = "", stopAt = ""] = process.argv;

let isArmed = false;
let calls = 0;
const real = new RealStorage();
const storage: Storage = new InterruptedStorage(real, undefined, () => {
  if (!isArmed) return;
  const call = calls;
  calls += 1;
  if (call !== Number(stopAt)) return;
  say("stopping");
  // At once: whoever sends this to itself does not return from it.
  process.kill(process.pid, "SIGSTOP");
});

/** Before it returns the line is with the reader. */
function say(line: string): void {
  writeSync(1, `${line}\n`);
}

const journal = Journal.open({
  storage,
  directory,
  shardId: 3,
  syncer: (context) => new InlineSyncer(storage, context),
  background: { submit: () => {} },
  clock: { monotonicMs: () => 0 },
  entropy: { uint32: () => 7 },
  segmentSizeBytes: 65_536,
  replay: new Recorder(),
});
isArmed = true;
for (let i = 0; i < 100; i++) {
  journal.stageState(Buffer.from(`former ${i}`));
  journal.flush();
  // As for a topic whose acks come behind the write.
  if (journal.isOwner()) say(`written ${i}`);
  journal.requestSync();
  if (journal.committedPosition() === journal.stagedPosition) say(`committed ${i}`);
  const failure = journal.failure();
  if (failure === undefined) continue;
  say(`ended: ${failure.message}`);
  process.exit(3);
}
say(`calls ${calls}`);
