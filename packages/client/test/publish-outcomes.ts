import type { MillraceError } from "../src/index.ts";
import { microtasks } from "./manual-clock.ts";

/** A value of so many bytes. */
export const bytes = (length: number): Uint8Array => new Uint8Array(length).fill(97);

/** The promise's outcome if it is settled by now. */
export async function outcomeOf<T>(promise: Promise<T>): Promise<T | MillraceError | "pending"> {
  await microtasks();
  return Promise.race([
    promise.catch((error: MillraceError) => error),
    microtasks().then(() => "pending" as const),
  ]);
}

export async function codeOf(promise: Promise<unknown>): Promise<string> {
  const outcome = await outcomeOf(promise);
  if (outcome === "pending") return "pending";
  return (outcome as MillraceError).code ?? "resolved";
}
