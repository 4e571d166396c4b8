import type { GatewayIds } from "@millrace/broker/internal";
import type { StreamReader } from "./stream-reader.ts";

/** The streams of all sessions, by the id that answers to their reads name. */
export class StreamTable {
  readonly #ids: GatewayIds;
  readonly #isUsed: (streamId: number) => boolean;
  readonly #streams: Map<number, StreamReader> = new Map();

  /**
   * @param ids of this gateway
   * @param isTaken whether the id is used for something else
   */
  constructor(ids: GatewayIds, isTaken: (streamId: number) => boolean) {
    this.#ids = ids;
    this.#isUsed = (streamId) => this.#streams.has(streamId) || isTaken(streamId);
  }

  get size(): number {
    return this.#streams.size;
  }

  get(streamId: number): StreamReader | undefined {
    return this.#streams.get(streamId);
  }

  /** A copy: streams may come and go meanwhile. */
  all(): StreamReader[] {
    return [...this.#streams.values()];
  }

  add(stream: StreamReader): void {
    this.#streams.set(stream.streamId, stream);
  }

  delete(stream: StreamReader): void {
    this.#streams.delete(stream.streamId);
  }

  /** An id that nobody uses. */
  newId(): number {
    return this.#ids.next(this.#isUsed);
  }
}

/** The streams of the same partition that other readers of the session have. */
export function sameSessionStreams(stream: StreamReader): StreamReader[] {
  const { subscription, group } = stream;
  const { readers } = subscription.session;
  if (readers === undefined || readers.size < 2) return [];
  const streams: StreamReader[] = [];
  for (const other of readers) {
    if (other === subscription || other.topic?.topicId !== subscription.topic?.topicId) continue;
    const same = other.streams.find((candidate) => candidate.group === group);
    if (same !== undefined) streams.push(same);
  }
  return streams;
}
