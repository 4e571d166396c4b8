import { Doorbell, OneToOneRingBuffer } from "@millrace/core";
import { ColdReader, type Storage } from "@millrace/journal/internal";
import { LINK_STATE } from "../../src/link/link-buffers.ts";
import type { OutboundReader } from "../../src/node/outbound-reader.ts";
import { decodeColdRead } from "../../src/reader/cold-read-message.ts";
import { ColdReadServer } from "../../src/reader/cold-read-server.ts";
import { FetchAnswers } from "../../src/reader/fetch-answers.ts";
import { JournalColdEntries } from "../../src/reader/journal-cold-entries.ts";
import type { ColdReadRings } from "../../src/reader/ring-cold-reads.ts";
import type { RecordingGateway } from "./recording-gateway.ts";

const RING_HEADER_BYTES = 8;

export interface SimulatedReaderOptions {
  readonly requestsBytes: number;
  readonly answersBytes: number;
  readonly onFailure: (fields: Record<string, unknown>) => void;
}

/** The reader thread's work and its rings, without a thread: cold reads are answered when a test says so. */
export class SimulatedReader {
  readonly rings: ColdReadRings;
  /** The shard thread's end of what is fetched. */
  readonly fetchAnswers: FetchAnswers;
  readonly #outbound: OneToOneRingBuffer;
  readonly #gatewayReader: OutboundReader;
  readonly #gateway: RecordingGateway;
  readonly #reads: ColdReadServer;
  readonly #fetched: OneToOneRingBuffer;
  readonly #fetches: ColdReadServer;

  constructor(
    storage: Storage,
    shardsDirectory: string,
    gateway: RecordingGateway,
    options: SimulatedReaderOptions,
  ) {
    const { requestsBytes, answersBytes, onFailure } = options;
    this.rings = { reads: ringOf(requestsBytes), fetches: ringOf(requestsBytes) };
    this.#outbound = ringOf(answersBytes);
    this.#fetched = ringOf(answersBytes);
    this.#gateway = gateway;
    this.#gatewayReader = gateway.reader(this.#outbound.buffer);
    this.fetchAnswers = new FetchAnswers(
      { fetched: this.#fetched.buffer, state: new SharedArrayBuffer(LINK_STATE.WORDS * 4) },
      Doorbell.attach(Doorbell.allocate()),
    );
    const entries = new JournalColdEntries(new ColdReader(storage, shardsDirectory));
    const log = (_event: string, fields: Record<string, unknown>): void => onFailure(fields);
    this.#reads = new ColdReadServer(entries, this.#outbound, log);
    this.#fetches = new ColdReadServer(entries, this.#fetched, log);
  }

  /** Serves up to `limit` of the cold reads that the shard has handed over. @returns how many */
  serveReads(limit: number): number {
    const served = serve(this.rings.reads, this.#reads, limit);
    this.#outbound.publish();
    this.#gatewayReader.drain(this.#gateway, Number.MAX_SAFE_INTEGER, this.#gateway.routing);
    return served;
  }

  /** The same for fetches; the shard hears of them when `fetchAnswers` is polled. */
  serveFetches(limit: number): number {
    const served = serve(this.rings.fetches, this.#fetches, limit);
    this.#fetched.publish();
    return served;
  }

  /** What an idle reader thread does. */
  readAhead(): boolean {
    return this.#fetches.readAhead();
  }
}

function serve(ring: OneToOneRingBuffer, server: ColdReadServer, limit: number): number {
  let served = 0;
  for (ring.poll(); served < limit; served += 1) {
    const index = ring.next();
    if (index < 0) break;
    const length = ring.words[index >> 2] as number;
    const message = decodeColdRead(
      Uint8Array.prototype.slice.call(ring.bytes, index + RING_HEADER_BYTES, index + length),
    );
    if (!server.serve(message)) break;
    ring.advance();
    ring.release();
  }
  return served;
}

function ringOf(capacityBytes: number): OneToOneRingBuffer {
  return OneToOneRingBuffer.attach(OneToOneRingBuffer.allocate(capacityBytes));
}
