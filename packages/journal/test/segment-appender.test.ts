import t from "tap";
import { RealStorage, type Storage, type Syncer, type SyncerContext } from "../src/internal.ts";
import { mergeRequest, type SyncRequest, syncRequests } from "../src/sync/syncer.ts";
import { openFixture, stageTexts } from "./journal-fixture.ts";

/** Syncs in two steps, as a thread does: what is submitted while one batch is served waits for the next. */
class TwoStepSyncer implements Syncer {
  readonly #storage: Storage;
  readonly #context: SyncerContext;
  #waiting: SyncRequest[] = [];
  #taken: SyncRequest[] = [];
  #committed: number;

  constructor(storage: Storage, context: SyncerContext) {
    this.#storage = storage;
    this.#context = context;
    this.#committed = context.committedPosition;
  }

  submit(fd: number, position: number, syncDirectory: boolean): void {
    mergeRequest(this.#waiting, { fd, position, syncDirectory });
  }

  take(): void {
    this.#taken = this.#waiting;
    this.#waiting = [];
  }

  serve(): void {
    const last = this.#taken.at(-1);
    if (last === undefined) return;
    syncRequests(this.#storage, this.#context.directory, this.#context.epoch, this.#taken);
    this.#committed = last.position;
  }

  committedPosition(): number {
    return this.#committed;
  }

  failure(): undefined {
    return undefined;
  }

  close(): void {}
}

t.test("a file is never synced after it may have been closed", async (t) => {
  const storage = new RealStorage();
  const syncers: TwoStepSyncer[] = [];
  const { journal } = openFixture(`${t.testdir()}/0003`, {
    storage,
    segmentSizeBytes: 4096,
    syncer: (context) => {
      const syncer = new TwoStepSyncer(storage, context);
      syncers.push(syncer);
      return syncer;
    },
  });
  const [syncer] = syncers as [TwoStepSyncer];
  stageTexts(journal, "x".repeat(3000));
  journal.flush();
  journal.requestSync();
  syncer.take();
  // The sync of the whole first segment is under way when the second begins.
  stageTexts(journal, "y".repeat(3000));
  journal.flush();
  journal.requestSync();
  syncer.serve();
  t.ok(journal.committedPosition() > 0, "the first segment is committed, and closed");
  syncer.take();
  syncer.serve();
  t.equal(journal.committedPosition(), journal.stagedPosition);
  journal.close();
});
