/**
 * Generator `survivor`: a client of one node that publishes to every partition of a topic all the time, one record each in a
 * few milliseconds, and says when each partition was acknowledged again after a moment, and what its application was told
 * of meanwhile.
 */
import { connect } from "@millrace/client";
import { delay, monotonicMs, reportFailure, serveCommands } from "@millrace/load/internal";

export interface Recovered {
  readonly ackedMs: readonly number[];
  /** Records that the application was told are not published. */
  readonly errors: readonly string[];
  readonly reconnects: number;
}

export interface SurvivorCommands {
  open(args: { url: string; topic: string; partitions: number }): Promise<null>;
  /** Forgets errors; from now on first acknowledgements are looked for. */
  begin(args: null): { atMs: number };
  /** Resolves when a record that was sent after `begin` is acknowledged in every partition. */
  recovered(args: { timeoutMs: number }): Promise<Recovered>;
  /** Ends the connection; another `open` may follow. */
  close(args: null): Promise<null>;
}

const PERIOD_MS = 4;
const POLL_MS = 2;
const VALUE = Buffer.alloc(100, "x");

let stop: () => Promise<void> = async () => {};
let sinceMs = 0;
let acked: number[] = [];
const errors: string[] = [];
/** Connections that were lost since `begin`, and made again by the client itself. */
let reconnects = 0;

async function open(args: { url: string; topic: string; partitions: number }): Promise<null> {
  const client = await connect(args.url, { name: "survivor" });
  const producer = client.producer(args.topic);
  await producer.ready();
  let running = true;
  acked = new Array<number>(args.partitions).fill(0);
  const publish = async (): Promise<void> => {
    while (running) {
      for (let partition = 0; partition < args.partitions; partition++) {
        if (!producer.hasRoom) continue;
        const sentMs = monotonicMs();
        producer.append({ value: VALUE, partition }).then(
          () => {
            if (sentMs >= sinceMs && acked[partition] === 0) acked[partition] = monotonicMs();
          },
          (error: Error) => errors.push(`append: ${error.message}`),
        );
      }
      await delay(PERIOD_MS);
    }
  };
  const publishing = publish();
  publishing.catch(reportFailure);
  client.on("disconnected", () => {
    reconnects += 1;
  });
  stop = async () => {
    running = false;
    await publishing;
    await producer.close();
    await client.close();
  };
  return null;
}

function begin(): { atMs: number } {
  errors.length = 0;
  reconnects = 0;
  acked.fill(0);
  sinceMs = monotonicMs();
  return { atMs: sinceMs };
}

async function recovered({ timeoutMs }: { timeoutMs: number }): Promise<Recovered> {
  const untilMs = monotonicMs() + timeoutMs;
  while (acked.some((atMs) => atMs === 0)) {
    if (monotonicMs() > untilMs) throw new Error(`not all partitions came back: ${JSON.stringify(acked)}`);
    await delay(POLL_MS);
  }
  return { ackedMs: acked, errors: [...errors], reconnects };
}

serveCommands<SurvivorCommands>({
  open,
  begin,
  recovered,
  close: async () => {
    await stop();
    return null;
  },
});
