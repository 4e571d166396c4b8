import { Writable } from "node:stream";
import type { PublishResult } from "@millrace/client";
import t from "tap";
import { AckPrinter } from "../../src/output/ack-printer.ts";
import { LineWriter } from "../../src/output/line-writer.ts";

/** A stream that keeps what it is given, and fails with `code` after `writes` writes. */
function sink(code?: string, writes = 0): { stream: Writable; chunks: Buffer[] } {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      if (code !== undefined && chunks.length >= writes) {
        done(Object.assign(new Error(`write ${code}`), { code }));
        return;
      }
      chunks.push(chunk);
      done();
    },
  });
  return { stream, chunks };
}

t.test("lines are gathered and written as they are", async (t) => {
  const { stream, chunks } = sink();
  const writer = new LineWriter(stream);
  writer.push("text");
  writer.push(Uint8Array.of(0xff));
  t.equal(chunks.length, 0);
  await writer.flush();
  await writer.flush();
  t.equal(chunks.length, 1);
  t.same(chunks[0], Buffer.from("text\n\xff\n", "latin1"));
  t.notOk(writer.full);
  writer.push("x".repeat(70_000));
  t.ok(writer.full);
});

t.test("a reader that goes away is a normal end", async (t) => {
  const { stream, chunks } = sink("EPIPE", 1);
  const writer = new LineWriter(stream);
  let told = 0;
  writer.onClosed(() => told++);
  writer.push("one");
  await writer.flush();
  writer.push("two");
  await writer.flush();
  t.ok(writer.closed);
  writer.push("three");
  await writer.flush();
  t.equal(chunks.length, 1);
  t.equal(told, 1);
});

t.test("a full disk is not", async (t) => {
  const writer = new LineWriter(sink("ENOSPC").stream);
  writer.push("one");
  await t.rejects(writer.flush(), { code: "OUTPUT_FAILED", message: "write ENOSPC" });
  t.ok(writer.closed);
});

function ack(offset: number): PublishResult {
  return { topic: "t", topicId: 1, partition: 0, offset, logEpoch: 0, durability: "fsynced" };
}

t.test("acknowledgements are printed in the order of the input", async (t) => {
  const { stream, chunks } = sink();
  const printer = new AckPrinter(new LineWriter(stream), (result) => String(result.offset));
  const resolvers: ((result: PublishResult) => void)[] = [];
  for (let i = 0; i < 4; i++) printer.add(new Promise((resolve) => resolvers.push(resolve)));
  for (const i of [2, 0, 3, 1]) resolvers[i]?.(ack(i));
  await printer.settled();
  t.equal(Buffer.concat(chunks).toString(), "0\n1\n2\n3\n");
});

t.test("the first record that was refused is what counts", async (t) => {
  const { stream, chunks } = sink();
  const printer = new AckPrinter(new LineWriter(stream), (result) => String(result.offset));
  // Rejected before its turn: nothing may be reported as unhandled.
  printer.add(new Promise((resolve) => setTimeout(() => resolve(ack(0)), 20)));
  printer.add(Promise.reject(new Error("first")));
  printer.add(Promise.reject(new Error("second")));
  printer.add(Promise.resolve(ack(3)));
  await t.rejects(printer.settled(), { message: "first" });
  t.ok(printer.failed);
  t.equal(Buffer.concat(chunks).toString(), "0\n");
});
