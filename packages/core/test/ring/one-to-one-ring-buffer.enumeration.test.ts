import t from "tap";
import { OneToOneRingBuffer } from "../../src/index.ts";
import { RingModel } from "./ring-model.ts";

/**
 * Every order of steps up to a depth, on the smallest ring that has padding, from every start index. Records of 8, 16, 24 and 32
 * bytes meet every distance to the end. Paths that reach a state seen before at the same or a lesser depth are cut.
 */
const CAPACITY = 256;
const LENGTHS = [0, 5, 8, 24];
const DEPTH = 7;

/** A step says whether it could be taken at all. */
type Step = (model: RingModel) => boolean;

const STEPS: readonly Step[] = [
  ...LENGTHS.map(
    (length): Step =>
      (model) =>
        !model.hasClaim && model.tryClaim(length),
  ),
  (model) => {
    if (model.hasClaim) model.commit();
    else return false;
    return true;
  },
  (model) => {
    if (model.hasClaim) model.abort();
    else return false;
    return true;
  },
  (model) => {
    model.publish();
    return true;
  },
  (model) => {
    model.poll();
    while (model.readOne());
    return true;
  },
  (model) => releaseOf(model, 1),
  (model) => releaseOf(model, 3),
];

function releaseOf(model: RingModel, count: number): boolean {
  if (model.heldCount < count) return false;
  model.release(count);
  return true;
}

function replay(startPosition: number, path: readonly number[]): RingModel | undefined {
  const model = new RingModel(CAPACITY, startPosition, (buffer) => OneToOneRingBuffer.attach(buffer));
  // Five records of 32 bytes, four of them held: the rest of the ring is what the steps fight over.
  for (let i = 0; i < 5; i++) {
    model.tryClaim(24);
    model.commit();
  }
  model.publish();
  model.poll();
  for (let i = 0; i < 4; i++) model.readOne();
  for (const step of path) {
    if (!(STEPS[step] as Step)(model)) return undefined;
  }
  model.checkHeld();
  return model;
}

t.test("every short order of steps agrees with plain arrays", async (t) => {
  let states = 0;
  for (let startIndex = 0; startIndex < CAPACITY; startIndex += 8) {
    const startPosition = 2 ** 32 - CAPACITY + startIndex;
    const seen = new Set<string>();
    let paths: number[][] = [[]];
    for (let depth = 0; depth < DEPTH; depth++) {
      const longer: number[][] = [];
      for (const path of paths) {
        for (let step = 0; step < STEPS.length; step++) {
          const extended = [...path, step];
          try {
            const model = replay(startPosition, extended);
            if (model === undefined || seen.has(model.state)) continue;
            seen.add(model.state);
            longer.push(extended);
            states++;
          } catch (error) {
            t.fail(`startPosition=${startPosition} path=${extended.join(",")}: ${(error as Error).message}`);
            return;
          }
        }
      }
      paths = longer;
    }
    for (const path of paths) replay(startPosition, path)?.drain();
  }
  t.comment(`${states} states`);
  t.ok(states > 1000);
});
