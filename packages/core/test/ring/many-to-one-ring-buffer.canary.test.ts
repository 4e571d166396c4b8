import t from "tap";
import { Enumeration } from "./stepwise/many-to-one-enumeration.ts";
import type { Mutation } from "./stepwise/stepwise-source.ts";

/** The ring with one deliberate mistake each: an enumeration that does not notice them proves nothing. */
interface Canary extends Mutation {
  /** Explores what must go wrong. */
  notice(all: Enumeration): void;
}

const FULL = "a ring that is full but for two units";

const CANARIES: readonly Canary[] = [
  {
    name: "the tail is stored, not exchanged",
    notice: (all) => all.live(),
    find: "Atomics.compareExchange(control, MANY_TAIL_WORD, tail, (tail + needed) | 0);",
    replace: "Atomics.store(control, MANY_TAIL_WORD, (tail + needed) | 0) - needed | 0;",
  },
  {
    name: "a claim may take a unit more than there is",
    notice: (all) => all.live(FULL),
    find: "needed > capacityUnits - ((tail - this.headCache) | 0)",
    replace: "needed > capacityUnits + 1 - ((tail - this.headCache) | 0)",
  },
  {
    name: "the record can be read from its claim on",
    notice: (all) => all.live(),
    find: "words[start << 1] = header;",
    replace: "words[start << 1] = -header;",
  },
  {
    name: "padding is not marked",
    notice: (all) => all.live(),
    find: "words[(start << 1) + 1] = PADDING_TYPE;\n            Atomics.store",
    replace: "Atomics.store",
  },
  {
    name: "a shortened claim leaves no padding",
    notice: (all) => all.live(),
    find: "words[end >> 2] = padding;",
    replace: "",
  },
  {
    name: "an aborted claim is a record first",
    notice: (all) => all.live(),
    find: "if (header === this.claimHeader)\n            words[(index - RECORD_HEADER_BYTES + 4) >> 2] = PADDING_TYPE;\n        this.endClaim(-this.claimHeader);",
    replace:
      "this.endClaim(-this.claimHeader);\n        words[(index - RECORD_HEADER_BYTES + 4) >> 2] = PADDING_TYPE;",
  },
  {
    name: "what was read is not zeroed",
    notice: (all) => all.live(),
    find: "zeroBytes(this.bytes, this.words, start, end);",
    replace: "",
  },
  {
    name: "the head moves before the zeros are written",
    notice: (all) => all.live(FULL),
    find: "const start = (from & this.mask) << 3;",
    replace:
      "const start = (from & this.mask) << 3;\n        Atomics.store(this.control, MANY_HEAD_WORD, to);",
  },
  {
    name: "the head cache moves before the zeros are written",
    notice: (all) => all.live(FULL),
    find: "const start = (from & this.mask) << 3;",
    replace:
      "const start = (from & this.mask) << 3;\n        Atomics.store(this.control, MANY_HEAD_CACHE_WORD, to);",
  },
  {
    name: "a claim without a length is taken to the first unit",
    notice: (all) => all.blocked(),
    find: "const found = next < this.capacityUnits && next === end ? NO_GAP : next;",
    replace: "const found = next;",
  },
  {
    name: "unblock forgets to mark the padding",
    notice: (all) => all.blocked(),
    find: "this.words[(start << 1) + 1] = PADDING_TYPE;\n        Atomics.store(this.words, start << 1, bytes);",
    replace: "Atomics.store(this.words, start << 1, bytes);",
  },
];

for (const canary of CANARIES) {
  t.test(`canary: ${canary.name}`, async (t) => {
    const enumeration = await Enumeration.ofMutation(canary);
    let message = "not noticed";
    try {
      canary.notice(enumeration);
    } catch (error) {
      message = (error as Error).message;
    }
    t.match(message, /^steps=\d* ./);
    t.comment(message);
  });
}
