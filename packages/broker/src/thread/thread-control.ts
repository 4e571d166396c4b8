import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { CONTROL_PENDING } from "./thread-messages.ts";

/** Fetches the messages of a thread that never returns to its event loop. */
export class ThreadControl<Message> {
  readonly #port: MessagePort;
  readonly #words: Int32Array;

  constructor(port: MessagePort, control: SharedArrayBuffer) {
    this.#port = port;
    this.#words = new Int32Array(control);
  }

  /** Hands over what has come; costs one load when there is nothing. */
  poll(handle: (message: Message) => void): number {
    if (Atomics.load(this.#words, CONTROL_PENDING) === 0) return 0;
    Atomics.store(this.#words, CONTROL_PENDING, 0);
    let handled = 0;
    // A message posted before the flag was set is in the port's queue; one posted after sets the flag again.
    for (;;) {
      const received = receiveMessageOnPort(this.#port) as { message: Message } | undefined;
      if (received === undefined) return handled;
      handled += 1;
      handle(received.message);
    }
  }
}
