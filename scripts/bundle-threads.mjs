// Writes the file of each of the broker's threads, with all of its modules in it, to packages/broker/dist/threads. A thread reads one
// file then instead of up to 400: Node 20 takes 0.3 to 0.5 ms of a core for each ES module, in every thread anew, and a broker of two
// shards starts ten threads. Takes the compiled files, so tsc goes first. Other people's packages stay outside.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const broker = join(root, "packages", "broker");

const THREADS = [
  "packages/broker/dist/src/thread/shard-thread-worker.js",
  "packages/broker/dist/src/thread/reader-thread-worker.js",
  "packages/broker/dist/src/thread/read-ahead-worker.js",
  "packages/broker/dist/src/thread/background-worker.js",
  "packages/broker/dist/src/thread/verify-worker.js",
  // A journal starts it from beside the file that it is in itself.
  "packages/journal/dist/src/sync/sync-thread-worker.js",
];

const { dependencies } = JSON.parse(readFileSync(join(broker, "package.json"), "utf8"));

await build({
  absWorkingDir: root,
  entryPoints: THREADS,
  outdir: join(broker, "dist", "threads"),
  // All in one folder, whatever package they stem from.
  entryNames: "[name]",
  bundle: true,
  format: "esm",
  platform: "node",
  target: "node20.19",
  external: Object.keys(dependencies).filter((name) => !name.startsWith("@millrace/")),
  logLevel: "warning",
});
