import t from "tap";
import { nearestName } from "../../src/config/nearest-name.ts";

const NAMES = ["host", "port", "retention-total", "tls-cert", "tls-key", "node-threads", "nodes"];

t.test("slips of the finger, other spellings and beginnings are seen", async (t) => {
  for (const [text, name] of [
    ["prot", "port"],
    ["hosts", "host"],
    ["retentionTotal", "retention-total"],
    ["RETENTION_TOTAL", "retention-total"],
    ["retention-totla", "retention-total"],
    ["node_thread", "node-threads"],
    ["node", "nodes"],
    ["tls", "tls-cert"],
    ["retention", "retention-total"],
  ] as const) {
    t.equal(nearestName(text, NAMES), name, text);
  }
});

t.test("other words are other words", async (t) => {
  for (const text of ["", "url", "broker", "x", "listen-address", "p".repeat(1_000)]) {
    t.equal(nearestName(text, NAMES), undefined, text.slice(0, 20));
  }
});
