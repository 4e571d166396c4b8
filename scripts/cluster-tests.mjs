// Which compiled test files run a second time, against a cluster of processes: those that start a broker, unless their first
// lines say why it makes no sense, as "// Runs against one process: the reason".
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const FOLDER = join("test", "dist", "src");
const STARTS_A_BROKER = /\bBrokerProcess\b/;
const ONE_PROCESS = /^\/\/ Runs against one process: \S/m;

/** Paths from the repository's root. */
export function clusterTests(root) {
  return readdirSync(join(root, FOLDER), { recursive: true })
    .filter((file) => /\.(test|integrity)\.js$/.test(file))
    .map((file) => join(FOLDER, file))
    .filter((file) => {
      const text = readFileSync(join(root, file), "utf8");
      return STARTS_A_BROKER.test(text) && !ONE_PROCESS.test(text);
    })
    .sort();
}
