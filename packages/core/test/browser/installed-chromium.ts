import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { type BrowserContext, chromium } from "playwright-core";
import type { Test } from "tap";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];
const FLAGS = [
  "--headless",
  // Root in a container has no sandbox to enter.
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export const NO_CHROMIUM =
  "no chromium here: install the package chromium (apt-get install chromium), or name one in MILLRACE_CHROMIUM";

/** Path of the browser: MILLRACE_CHROMIUM, or the first one on PATH; undefined when there is none. */
export function findChromium(): string | undefined {
  const given = process.env.MILLRACE_CHROMIUM;
  if (given !== undefined && given !== "") return given;
  const folders = (process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  for (const name of NAMES) {
    const path = folders.map((folder) => join(folder, name)).find((file) => existsSync(file));
    if (path !== undefined) return path;
  }
  return undefined;
}

/** A browser with an empty profile, gone when the test has ended. Downloads nothing. */
export async function startChromium(t: Test, executablePath: string): Promise<BrowserContext> {
  const profile = await mkdtemp(join(tmpdir(), "millrace-chromium-"));
  t.teardown(() => rm(profile, { recursive: true, force: true, maxRetries: 5 }));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    // Only what is listed here, and the pipe that it is driven through.
    ignoreDefaultArgs: true,
    args: [...FLAGS, `--user-data-dir=${profile}`, "--remote-debugging-pipe", "about:blank"],
    timeout: 60_000,
  });
  t.teardown(() => context.close());
  return context;
}
