import t from "tap";
import { findChromium, NO_CHROMIUM, startChromium } from "./installed-chromium.ts";
import type { IsolatedOutcome, PlainOutcome } from "./page.ts";
import { servePages } from "./page-server.ts";

const executablePath = findChromium();
const options = executablePath === undefined ? { skip: NO_CHROMIUM } : {};

t.test("core in headless Chromium", options, async (t) => {
  if (executablePath === undefined) throw new Error(NO_CHROMIUM);
  const server = await servePages(t);
  const browser = await startChromium(t, executablePath);
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });

  t.test("workers and page exchange records where there is shared memory", async (t) => {
    await page.goto(server.isolatedUrl);
    const outcome = await page.evaluate<IsolatedOutcome>("millraceOutcome");
    t.equal(outcome.isolated, true, "the page is cross-origin isolated");
    t.equal(outcome.hasBuffer, false, "copyBytes has no Buffer");
    t.ok(outcome.copies > 4000, "copies were compared byte by byte");
    const waitAsync = outcome.canWaitAsync ? ["page in waitAsync <-> worker"] : [];
    const rings = ["structures", "worker <-> worker", "parked page <-> worker"];
    t.same(outcome.passed, [...rings, "page <-> worker over a channel", ...waitAsync]);
    t.comment(`copies into shared memory, MB/s: ${JSON.stringify(outcome.copySpeeds)}`);
  });

  t.test("a page that is not cross-origin isolated is told what it lacks", async (t) => {
    await page.goto(server.plainUrl);
    const outcome = await page.evaluate<PlainOutcome>("millraceOutcome");
    t.equal(outcome.isolated, false);
    const { attach, ...allocates } = outcome.errors;
    for (const [name, error] of Object.entries(allocates)) {
      t.match(
        error,
        /^Error: SharedArrayBuffer is not defined: .*cross-origin isolated.*Embedder-Policy/,
        name,
      );
    }
    t.equal(attach, "TypeError: one-to-one ring needs a SharedArrayBuffer: got [object ArrayBuffer]");
  });

  t.same(complaints, [], "nothing was thrown or complained about");
  t.same(server.missing, [], "nothing was missing");
});
