import { type Agent, AgentRunner, Doorbell, DoorbellIdleStrategy } from "@millrace/core";
import { RealStorage } from "@millrace/journal";
import { readFully } from "@millrace/journal/internal";
import { AheadFiller } from "../reader/ahead-slots.ts";
import type { ReadAheadThreadData } from "./thread-messages.ts";

/**
 * The agent of the read-ahead thread: reads what the reader thread will want next, while that checks and copies what came
 * before. The files are the reader's, which may even have closed one and have another under its number: then it does not
 * look at what was read.
 */
export class ReadAheadAgent implements Agent {
  readonly name = "read-ahead";
  readonly #filler: AheadFiller;

  constructor(filler: AheadFiller) {
    this.#filler = filler;
  }

  /** Runs until the node terminates the thread. */
  static start({ buffers, doorbell }: ReadAheadThreadData): void {
    const storage = new RealStorage();
    const filler = new AheadFiller(buffers, (fd, target, length, position) =>
      readFully(storage, fd, target, 0, length, position),
    );
    let failure: unknown;
    const runner = new AgentRunner(
      new ReadAheadAgent(filler),
      new DoorbellIdleStrategy(Doorbell.attach(doorbell)),
      (error) => {
        failure = error;
        runner.close();
      },
    );
    runner.run();
    throw failure;
  }

  doWork(): number {
    return this.#filler.fillNext() ? 1 : 0;
  }

  nextTimerMs(): number {
    return Number.POSITIVE_INFINITY;
  }

  onClose(): void {}
}
