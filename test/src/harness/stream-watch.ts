import type { Test } from "tap";
import type { RawClient, ReceivedFrame } from "./raw-client.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { StreamMember } from "./stream-member.ts";
import { pauseMs } from "./waiting.ts";

export interface StreamWatchOptions {
  readonly url: () => string;
  readonly topic: string;
  readonly subscription: string;
  readonly members: number;
  readonly random: SeededRandom;
}

/**
 * Members of a stream subscription that come, commit now and then, and go, in session after session. What is confirmed as
 * committed is compared at once with where the next member starts.
 */
export class StreamWatch {
  readonly #t: Test;
  readonly #options: StreamWatchOptions;
  readonly #running: Promise<unknown>;
  readonly #confirmed: Map<number, number> = new Map();
  readonly #epochs: Set<string> = new Set();
  readonly #values: Map<string, string> = new Map();
  readonly problems: string[] = [];
  #deliveries = 0;
  #isTame = false;
  #isStopped = false;

  constructor(t: Test, options: StreamWatchOptions) {
    this.#t = t;
    this.#options = options;
    this.#running = Promise.all(Array.from({ length: options.members }, () => this.#live()));
  }

  /** Values of all records that a member was given, by `partition@offset`. */
  get values(): ReadonlyMap<string, string> {
    return this.#values;
  }

  /** Those that came more than once included. */
  get deliveries(): number {
    return this.#deliveries;
  }

  /** From now on members stay. */
  tame(): void {
    this.#isTame = true;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  async #live(): Promise<void> {
    const { random, url, topic, subscription } = this.#options;
    while (!this.#isStopped) {
      let member: StreamMember;
      let isThere = true;
      try {
        member = await StreamMember.join(this.#t, url(), topic, subscription, (received, client) =>
          this.#onReceived(received, client),
        );
      } catch {
        await pauseMs(20);
        continue;
      }
      void member.client.closed.then(() => {
        isThere = false;
      });
      let seen = 0;
      for (let leftMs = random.between(200, 3_000); leftMs > 0 && isThere && !this.#isStopped; ) {
        try {
          member.work();
        } catch (error) {
          this.problems.push(String(error));
          break;
        }
        for (; seen < member.records.length; seen += 1) this.#add(member.records[seen]);
        if (random.below(3) === 0) member.commitSoon();
        await pauseMs(20);
        if (!this.#isTame) leftMs -= 20;
      }
      member.client.terminate();
    }
  }

  #add(record: StreamMember["records"][number] | undefined): void {
    if (record === undefined) return;
    const { partition, offset, value } = record;
    const place = `${partition}@${offset}`;
    this.#deliveries += 1;
    const before = this.#values.get(place);
    if (before !== undefined && before !== value)
      this.problems.push(`${place} was ${before} and is ${value}`);
    this.#values.set(place, value);
  }

  #onReceived({ frame }: ReceivedFrame, client: RawClient): void {
    if (frame.name === "COMMITTED") {
      for (const { partition, offset, outcome } of frame.value.outcomes) {
        if (outcome !== 0) continue;
        this.#confirmed.set(partition, Math.max(offset, this.#confirmed.get(partition) ?? 0));
      }
    } else if (frame.name === "ASSIGNED") {
      for (const { partition, assignmentEpoch, startOffset } of frame.value.partitions) {
        const confirmed = this.#confirmed.get(partition) ?? 0;
        if (startOffset < confirmed)
          this.problems.push(`partition ${partition} starts at ${startOffset}, committed is ${confirmed}`);
        const epoch = `${partition}:${assignmentEpoch}`;
        if (this.#epochs.has(epoch)) this.problems.push(`assignment epoch ${epoch} was given twice`);
        this.#epochs.add(epoch);
      }
    } else if (frame.name === "ERROR") {
      if (!frame.value.retriable) this.problems.push(JSON.stringify(frame.value));
      client.terminate();
    }
  }
}
