import type { PublisherEvents } from "@millrace/load";

/** What a publisher has taken and not heard of yet, and who waits for it. */
export class InFlightWindow {
  readonly #events: PublisherEvents;
  readonly #limit: number;
  #inFlight = 0;
  #onRoom: (() => void)[] = [];
  #onEmpty: (() => void)[] = [];
  #failure: Error | undefined;

  /** `limit`: records that may be in flight. Room is announced when half of them are free again. */
  constructor(events: PublisherEvents, limit: number) {
    this.#events = events;
    this.#limit = limit;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get full(): boolean {
    return this.#inFlight >= this.#limit;
  }

  taken(count: number): void {
    this.#inFlight += count;
  }

  acknowledged(count: number): void {
    this.#inFlight -= count;
    this.#events.acknowledged(count);
    this.#announce();
  }

  /** Nothing more will be acknowledged: whoever waits goes on, and finds out from the event. */
  failed(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#events.failed(error);
    settle(this.#onRoom.splice(0));
    settle(this.#onEmpty.splice(0));
  }

  room(): Promise<void> {
    if (this.#hasRoom() || this.#failure !== undefined) return Promise.resolve();
    return new Promise((resolve) => this.#onRoom.push(resolve));
  }

  empty(): Promise<void> {
    if (this.#inFlight === 0 || this.#failure !== undefined) return Promise.resolve();
    return new Promise((resolve) => this.#onEmpty.push(resolve));
  }

  #hasRoom(): boolean {
    return this.#inFlight <= this.#limit / 2;
  }

  #announce(): void {
    if (this.#onRoom.length > 0 && this.#hasRoom()) settle(this.#onRoom.splice(0));
    if (this.#onEmpty.length > 0 && this.#inFlight === 0) settle(this.#onEmpty.splice(0));
  }
}

function settle(waiting: readonly (() => void)[]): void {
  for (const resolve of waiting) resolve();
}
