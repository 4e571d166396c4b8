import type { ConsumedMessage } from "./consumed-message.ts";
import type { MessageSource } from "./message-source.ts";

/** A message and where it came from. */
export interface Taken {
  readonly message: ConsumedMessage;
  readonly source: MessageSource;
}

/** Takes from several sources in turn, so that a busy one does not keep the others waiting. */
export class SourceTurns {
  readonly #sources: MessageSource[] = [];
  #turn = 0;

  add(source: MessageSource): void {
    this.#sources.push(source);
  }

  remove(source: MessageSource): void {
    const index = this.#sources.indexOf(source);
    if (index >= 0) this.#sources.splice(index, 1);
  }

  take(): Taken | undefined {
    const sources = this.#sources;
    for (let left = sources.length; left > 0; left -= 1) {
      this.#turn = (this.#turn + 1) % sources.length;
      const source = sources[this.#turn] as MessageSource;
      const message = source.take();
      if (message !== undefined) return { message, source };
    }
    return undefined;
  }
}
