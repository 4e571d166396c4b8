/** A minimal typed emitter that exists in Node and browsers alike. `E` maps an event's name to what listeners get. */
export class EventEmitter<E> {
  readonly #listeners: Map<keyof E, Set<(value: never) => void>> = new Map();

  /** Returns a function that removes the listener. */
  on<K extends keyof E>(event: K, listener: (value: E[K]) => void): () => void {
    let listeners = this.#listeners.get(event);
    if (listeners === undefined) {
      listeners = new Set();
      this.#listeners.set(event, listeners);
    }
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  emit<K extends keyof E>(event: K, value: E[K]): void {
    for (const listener of this.#listeners.get(event) ?? []) (listener as (value: E[K]) => void)(value);
  }
}
