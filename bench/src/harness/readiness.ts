import { get } from "node:http";
import { delay, monotonicMs } from "@millrace/load/internal";

const POLL_MS = 5;

/**
 * Resolves when GET /readyz of the broker at that WebSocket URL answers 200.
 * @throws Error with the last answer when it does not within the time
 */
export async function waitUntilReady(url: string, timeoutMs: number): Promise<void> {
  const deadlineMs = monotonicMs() + timeoutMs;
  for (;;) {
    const status = await statusOf(`${url.replace(/^ws/, "http").replace(/\/+$/, "")}/readyz`);
    if (status === 200) return;
    if (monotonicMs() > deadlineMs) throw new Error(`the broker is not ready: /readyz answers ${status}`);
    await delay(POLL_MS);
  }
}

/** undefined: no answer. */
function statusOf(url: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    get(url, { agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).once("error", () => resolve(undefined));
  });
}
