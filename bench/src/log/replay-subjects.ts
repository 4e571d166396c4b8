import {
  type CommandedChild,
  delay,
  type MeasuredProcess,
  monotonicMs,
  plainProcess,
} from "@millrace/load/internal";
import { type CacheEviction, dropPageCache } from "../harness/file-system.ts";
import type { Counters, Subject } from "../harness/sampling.ts";
import type { ReplayerCommands } from "./generators/replayer.ts";
import type { LogContext } from "./log-context.ts";
import type { RetainedData } from "./retained-data.ts";
import type { FileServerCommands } from "./yardsticks/file-server.ts";

const POLL_MS = 5;
/** A replay that gets nothing for so long is over. */
const STALL_MS = 30_000;

/** Whether the bytes come from the disk, or from the page cache because they have just been read. */
export type CacheState = "cold" | "warm";

/** What serves the replays of one sample. */
interface ReplayServer {
  readonly name: string;
  /** Ready for the next sample; its processes may be new. */
  prepare(): Promise<void>;
  processes(): MeasuredProcess[];
  /** Connects the replayer to what it is to replay; the same in all samples of one round. */
  connect(replayer: CommandedChild<ReplayerCommands>): Promise<void>;
}

/** Replays of everything that a sample consists of, from its first byte to its last. */
export class ReplaySubject implements Subject {
  readonly name: string;
  readonly evictions: CacheEviction[] = [];
  readonly #context: LogContext;
  readonly #server: ReplayServer;
  readonly #cache: CacheState;
  readonly #replayer: CommandedChild<ReplayerCommands>;

  constructor(
    context: LogContext,
    server: ReplayServer,
    cache: CacheState,
    replayer: CommandedChild<ReplayerCommands>,
  ) {
    this.name = `${server.name} ${cache}`;
    this.#context = context;
    this.#server = server;
    this.#cache = cache;
    this.#replayer = replayer;
  }

  get processes(): readonly MeasuredProcess[] {
    return [...this.#server.processes(), plainProcess("generator", this.#replayer)];
  }

  async start(): Promise<void> {
    await this.#server.prepare();
    if (this.#cache === "cold") {
      this.evictions.push(await dropPageCache(this.#context));
    } else {
      await this.#server.connect(this.#replayer);
      await this.window();
      await this.stop();
    }
    await this.#server.connect(this.#replayer);
  }

  mark(): Promise<Counters> {
    return this.#replayer.call("mark", null);
  }

  async window(): Promise<void> {
    await this.#replayer.call("start", null);
    let before = await this.mark();
    let movedMs = monotonicMs();
    while (!(await this.#replayer.call("finished", null))) {
      await delay(POLL_MS);
      const now = await this.mark();
      if (now.bytes > before.bytes) movedMs = monotonicMs();
      else if (monotonicMs() - movedMs > STALL_MS) {
        throw new Error(`the replay stands still: ${this.name} bytes=${now.bytes}`);
      }
      before = now;
    }
  }

  async stop(): Promise<void> {
    await this.#replayer.call("disconnect", null);
  }
}

/** The broker on retained data, restarted for each sample: what it has read before is not in its memory. */
export class BrokerReplays implements ReplayServer {
  readonly name = "broker";
  readonly #data: RetainedData;
  readonly #replays: number;
  #next = 0;

  /** Each sample replays so many topics, and none that one before has replayed unless there are no others. */
  constructor(data: RetainedData, replays: number) {
    this.#data = data;
    this.#replays = replays;
  }

  async prepare(): Promise<void> {
    await this.#data.broker.stop();
    await this.#data.broker.start();
    this.#next += this.#replays;
  }

  processes(): MeasuredProcess[] {
    return [this.#data.broker.process.measured()];
  }

  async connect(replayer: CommandedChild<ReplayerCommands>): Promise<void> {
    const { topics, bytesPerRecord, broker } = this.#data;
    const chosen = Array.from(
      { length: this.#replays },
      (_, index) => topics[(this.#next + index) % topics.length] as string,
    );
    await replayer.call("connectBroker", { url: broker.url, topics: chosen, bytesPerRecord });
  }
}

/** The yardstick, with as many ranges of a file as the broker replays topics. */
export class FileReplays implements ReplayServer {
  readonly name = "file";
  readonly #server: CommandedChild<FileServerCommands>;
  readonly #url: string;
  readonly #ranges: { ranges: number; rangeBytes: number; bytesPerRecord: number };

  constructor(server: CommandedChild<FileServerCommands>, url: string, ranges: FileReplays["ranges"]) {
    this.#server = server;
    this.#url = url;
    this.#ranges = ranges;
  }

  get ranges(): { ranges: number; rangeBytes: number; bytesPerRecord: number } {
    return this.#ranges;
  }

  async prepare(): Promise<void> {}

  processes(): MeasuredProcess[] {
    return [plainProcess("yardstick", this.#server)];
  }

  async connect(replayer: CommandedChild<ReplayerCommands>): Promise<void> {
    await replayer.call("connectFileServer", { url: this.#url, ...this.#ranges });
  }
}
