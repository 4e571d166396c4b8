import { LIMITS } from "./limits.ts";
import { MillraceError } from "./millrace-error.ts";

const PATTERN = /^([A-Za-z0-9_-]+|\*)(\.([A-Za-z0-9_-]+|\*))*(\.>)?$/;
const ONE = "*";
const REST = ">";

/**
 * A pattern over topic names: words joined by dots, where `*` stands for any one word and `>`, at the end, for one word or
 * more. A topic's name is a pattern that matches itself.
 */
export class TopicPattern {
  readonly text: string;
  /** Whether it can match other names than its own text. */
  readonly hasWildcard: boolean;
  /** Without the `>` at the end. */
  readonly #words: readonly string[];
  readonly #endsOpen: boolean;

  private constructor(text: string) {
    const words = text.split(".");
    this.text = text;
    this.#endsOpen = words.at(-1) === REST;
    this.#words = this.#endsOpen ? words.slice(0, -1) : words;
    this.hasWildcard = this.#endsOpen || words.includes(ONE);
  }

  /** @throws MillraceError INVALID_PATTERN */
  static parse(text: unknown): TopicPattern {
    if (typeof text !== "string" || text.length > LIMITS.topicNameBytesMax) {
      return refuse(text, `it is a string of at most ${LIMITS.topicNameBytesMax} bytes`);
    }
    if (text !== REST && !PATTERN.test(text)) {
      return refuse(
        text,
        "it is words of A-Z a-z 0-9 _ - or *, joined by single dots, and > may be the last",
      );
    }
    return new TopicPattern(text);
  }

  matches(name: string): boolean {
    if (!this.hasWildcard) return name === this.text;
    const words = this.#words;
    let at = 0;
    for (const word of words) {
      if (at > name.length) return false;
      const dot = name.indexOf(".", at);
      const end = dot < 0 ? name.length : dot;
      if (word === ONE) {
        if (end === at) return false;
      } else if (end - at !== word.length || !name.startsWith(word, at)) {
        return false;
      }
      at = end + 1;
    }
    // After the last word of a name `at` is one beyond its end.
    return this.#endsOpen ? at < name.length : at === name.length + 1;
  }
}

function refuse(text: unknown, rule: string): never {
  throw new MillraceError("INVALID_PATTERN", `topic pattern ${JSON.stringify(text)}: ${rule}`, {
    details: { pattern: text },
  });
}
