import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Test } from "tap";

const DIST = new URL("../../", import.meta.url);
/** The icon is there so that nobody asks for one. */
const PAGE =
  '<!doctype html><title>core</title><link rel="icon" href="data:,">' +
  '<script type="module" src="test/browser/page.js"></script>';

/** What makes a page cross-origin isolated; its worker scripts need them too. */
const ISOLATION = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
};

export interface PageServer {
  /** Of the page with the headers of isolation, and of the same page without. */
  readonly isolatedUrl: string;
  readonly plainUrl: string;
  /** What was asked for and is not there. */
  readonly missing: readonly string[];
}

/** Serves the compiled package and its test page on a free port until the test has ended. */
export async function servePages(t: Test): Promise<PageServer> {
  const missing: string[] = [];
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://localhost").pathname;
    const isolated = path.startsWith("/isolated/");
    const file = path.replace(/^\/(isolated|plain)\//, "");
    const answer = (status: number, type: string, body: string | Buffer): void => {
      response.writeHead(status, { "Content-Type": type, ...(isolated ? ISOLATION : {}) }).end(body);
    };
    if (file === "") answer(200, "text/html", PAGE);
    else if (/^(src|test\/(browser|runtimes))\/[a-z0-9/-]+\.js$|^test\/[a-z-]+\.js$/.test(file)) {
      readFile(new URL(file, DIST)).then(
        (body) => answer(200, "text/javascript", body),
        () => {
          missing.push(path);
          answer(404, "text/plain", "not there");
        },
      );
    } else {
      missing.push(path);
      answer(404, "text/plain", "not served");
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { isolatedUrl: `${origin}/isolated/`, plainUrl: `${origin}/plain/`, missing };
}
