import t, { type Test } from "tap";
import { NatsScanner } from "../../src/peers/nats/nats-scanner.ts";
import { encodeCommand } from "../../src/peers/redis/resp-command.ts";
import { RespScanner } from "../../src/peers/redis/resp-scanner.ts";
import { HEAD_BYTES_MAX, ServerFrames, writeClientHead } from "../../src/peers/relay/relay-frames.ts";

/** Feeds the stream in two pieces, split at every place, and byte by byte, and expects the same log each time. */
function everySplit(
  t: Test,
  stream: Buffer,
  expected: readonly string[],
  scan: (log: string[]) => (chunk: Buffer, length: number) => void,
): void {
  const splits = Array.from({ length: stream.length + 1 }, (_, at) => [
    stream.subarray(0, at),
    stream.subarray(at),
  ]);
  splits.push(Array.from(stream, (byte) => Buffer.from([byte])));
  // One buffer for all reads, as a socket has it, so that a view that is kept too long shows.
  const read = Buffer.alloc(stream.length);
  const wrong = splits.filter((pieces) => {
    const log: string[] = [];
    const push = scan(log);
    for (const piece of pieces) {
      piece.copy(read);
      push(read, piece.length);
      read.fill(0x21);
    }
    return JSON.stringify(log) !== JSON.stringify(expected);
  });
  t.equal(wrong.length, 0, "the same at every split");
}

t.test("NATS", async (t) => {
  const stream = Buffer.from(
    "INFO {}\r\nMSG a.b 1 5\r\nhello\r\n+OK\r\nMSG a 12 _INBOX.x 10\r\n\r\nMSG a 1\n\r\nPONG\r\nMSG a 1 0\r\n\r\nPING\r\n",
  );
  everySplit(
    t,
    stream,
    ["info", "hello", "\r\nMSG a 1\n", "pong", "", "ping"],
    (log) =>
      new NatsScanner({
        onInfo: () => log.push("info"),
        onPing: () => log.push("ping"),
        onPong: () => log.push("pong"),
        onMessage: (bytes, start, end) => log.push(bytes.toString("latin1", start, end)),
      }).push,
  );
  const scanner = new NatsScanner({
    onInfo: () => undefined,
    onPing: () => undefined,
    onPong: () => undefined,
    onMessage: () => undefined,
  });
  const refusal = Buffer.from("-ERR 'Slow Consumer'\r\n");
  t.throws(() => scanner.push(refusal, refusal.length), { message: /Slow Consumer/ });
});

t.test("RESP", async (t) => {
  const entry = (id: string, value: string): string =>
    `*2\r\n$3\r\n${id}\r\n*2\r\n$1\r\nv\r\n$${value.length}\r\n${value}\r\n`;
  const stream = Buffer.from(
    [
      ":7\r\n",
      "$-1\r\n",
      "*0\r\n",
      `*1\r\n*2\r\n$1\r\ns\r\n*2\r\n${entry("1-0", "a\r\nb")}${entry("2-0", "")}`,
      "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n",
      "+OK\r\n",
    ].join(""),
  );
  const nested = ["2.0 s", "4.0 1-0", "5.0 v", "5.1 a\r\nb", "4.0 2-0", "5.0 v", "5.1 ", "reply"];
  const message = ["1.0 message", "1.1 c", "1.2 hi", "reply"];
  everySplit(
    t,
    stream,
    ["reply", "reply", "reply", ...nested, ...message, "reply"],
    (log) =>
      new RespScanner({
        onBulk: (bytes, start, end, depth, index) =>
          log.push(`${depth}.${index} ${bytes.toString("latin1", start, end)}`),
        onReply: () => log.push("reply"),
      }).push,
  );
  t.equal(
    encodeCommand(["PUBLISH", "c", Buffer.from("é")]).toString(),
    "*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$2\r\né\r\n",
  );
  const scanner = new RespScanner({ onBulk: () => undefined, onReply: () => undefined });
  const refusal = Buffer.from("-OOM command not allowed\r\n");
  t.throws(() => scanner.push(refusal, refusal.length), { message: /OOM/ });
});

t.test("frames of the relay", async (t) => {
  for (const payloadBytes of [0, 125, 126, 300, 65_536]) {
    const frame = Buffer.alloc(HEAD_BYTES_MAX + payloadBytes, "x");
    const start = writeClientHead(frame, payloadBytes);
    // As the relay would send it: the same without the mask.
    const maskStart = HEAD_BYTES_MAX - 4;
    const head = Buffer.from(frame.subarray(start, maskStart));
    head[1] = (head[1] as number) & 0x7f;
    t.same(frame.subarray(maskStart, HEAD_BYTES_MAX), Buffer.alloc(4), "the mask is zero");
    const stream = Buffer.concat([
      head,
      frame.subarray(HEAD_BYTES_MAX),
      head,
      frame.subarray(HEAD_BYTES_MAX),
    ]);
    const lengths: number[] = [];
    const push = new ServerFrames((_bytes, from, end) => lengths.push(end - from)).push;
    const read = Buffer.alloc(7);
    for (let at = 0; at < stream.length; at += 7) push(read, stream.copy(read, 0, at, at + 7));
    t.same(lengths, [payloadBytes, payloadBytes], `${payloadBytes} bytes, in pieces`);
  }
});
