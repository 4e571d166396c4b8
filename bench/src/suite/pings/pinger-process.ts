/**
 * Generator `pinger-process`: sessions that have nothing to do with the load, in a process of their own, so that no load of
 * the bench stands in their way. Holds idle ones, and asks with one of them.
 */
import {
  delay,
  LatencyRecorder,
  type LatencySummary,
  monotonicMs,
  serveCommands,
} from "@millrace/load/internal";
import type { ConnectPinger, Pinger } from "../subjects/subject.ts";

export interface PingerCommands {
  /** Opens so many further sessions, on so many local addresses in turn. */
  open(args: {
    pinger: string;
    endpoint: Readonly<Record<string, string | number>>;
    sessions: number;
    localAddresses: readonly string[];
  }): Promise<{ opened: number; error?: string }>;
  /** Asks at a fixed schedule; an answer that is late delays no later question's clock. */
  ping(args: { everyMs: number; durationMs: number }): Promise<LatencySummary>;
}

/** Connections that are made at a time. */
const CONNECTING_MAX = 50;

const sessions: Pinger[] = [];

serveCommands<PingerCommands>({
  open: async ({ pinger, endpoint, sessions: wanted, localAddresses }) => {
    const { connectPinger } = (await import(pinger)) as { connectPinger: ConnectPinger };
    let opened = 0;
    try {
      while (opened < wanted) {
        const count = Math.min(CONNECTING_MAX, wanted - opened);
        const connecting = Array.from({ length: count }, (_, index) => {
          const localAddress = localAddresses[(opened + index) % localAddresses.length];
          return connectPinger(localAddress === undefined ? endpoint : { ...endpoint, localAddress });
        });
        sessions.push(...(await Promise.all(connecting)));
        opened += count;
      }
      return { opened };
    } catch (error) {
      return { opened, error: (error as Error).message };
    }
  },
  ping: async ({ everyMs, durationMs }) => {
    const [session] = sessions;
    if (session === undefined) throw new Error("no session is open");
    const latencies = new LatencyRecorder();
    const startMs = monotonicMs();
    let freeMs = startMs;
    for (let dueMs = startMs; dueMs < startMs + durationMs; dueMs += everyMs) {
      const beforeMs = monotonicMs();
      if (dueMs > beforeMs) await delay(dueMs - beforeMs);
      // A timer that comes late is the bench's own, a question that had to wait for the answer before it is not.
      const askedMs = freeMs > dueMs ? dueMs : monotonicMs();
      await session.ping();
      freeMs = monotonicMs();
      latencies.record(freeMs - askedMs);
    }
    return latencies.summary();
  },
});
