import { execFile } from "node:child_process";
import { promisify } from "node:util";
import t from "tap";

/** What a browser has: shared memory and Atomics, but no Buffer. */
const SCRIPT = `
  delete globalThis.Buffer;
  const { BroadcastTransmitter, CopyBroadcastReceiver, ManyToOneRingBuffer, OneToOneRingBuffer, copyBytes } = await import(process.argv[1]);
  const broadcast = BroadcastTransmitter.allocate(8192);
  const transmitter = BroadcastTransmitter.attach(broadcast);
  const receiver = CopyBroadcastReceiver.attach(broadcast);
  const ring = OneToOneRingBuffer.attach(OneToOneRingBuffer.allocate(8192));
  const many = ManyToOneRingBuffer.attach(ManyToOneRingBuffer.allocate(65536));
  const source = Uint8Array.from({ length: 1000 }, (_, i) => i & 255);
  for (const length of [0, 5, 100, 1000]) {
    ring.write(1, source.subarray(0, length));
    ring.publish();
    ring.read((type, index, got) => {
      const copy = new Uint8Array(got);
      copyBytes(copy, 0, ring.bytes, index, got);
      if (got !== length || copy.some((byte, i) => byte !== source[i])) throw new Error("record of " + length);
    });
    for (let i = 0; i < 40; i++) many.write(1, source.subarray(0, length));
    const read = many.read((type, index, got) => {
      if (got !== length || many.bytes.subarray(index, index + got).some((byte, i) => byte !== source[i])) throw new Error("record of " + length);
    });
    if (read !== 40 || many.bytes.some((byte) => byte !== 0)) throw new Error("many-to-one ring: " + read);
    transmitter.transmit(1, source.subarray(0, length));
    receiver.receive((type, bytes, got) => {
      if (got !== length || bytes.subarray(0, got).some((byte, i) => byte !== source[i])) throw new Error("broadcast of " + length);
    });
  }
  if (receiver.sequence !== 3) throw new Error("broadcast: " + receiver.sequence);
  console.log(typeof Buffer, ring.readPosition);
`;

t.test("rings, broadcasts and copies work where there is no Buffer", async (t) => {
  const index = new URL("../src/index.js", import.meta.url).href;
  const run = promisify(execFile);
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", SCRIPT, index]);
  t.equal(stdout.trim(), `undefined ${8 + 16 + 112 + 1008}`);
});

t.test("without a Buffer copies are right at every length and alignment", async (t) => {
  const script = "delete globalThis.Buffer; console.log((await import(process.argv[1])).checkCopies());";
  const check = new URL("./runtimes/copy-check.js", import.meta.url).href;
  const { stdout } = await promisify(execFile)(process.execPath, [
    "--input-type=module",
    "-e",
    script,
    check,
  ]);
  t.ok(Number(stdout) > 4000, `${stdout.trim()} copies`);
});
