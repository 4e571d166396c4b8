import { Channel, type ChannelDescriptor, INSUFFICIENT_CAPACITY } from "../../src/index.ts";
import { seeded } from "../seeded.ts";
import { fillPayload, lengthOf, STALLED_MS } from "./exchange.ts";

/** Small, so that both rings are full again and again. */
const CAPACITY_BYTES = 4096;

/**
 * The far end, on a thread that may block: sends each record back with its type one higher, until the near end closes.
 *
 * @throws Error when it stalls.
 */
export function echoOverChannel(descriptor: ChannelDescriptor): void {
  const channel = Channel.connect(descriptor);
  const scratch = new Uint8Array(channel.maxMessageLength);
  let type = 0;
  let record = scratch;
  const keep = (recordType: number, index: number, length: number): void => {
    type = recordType;
    record = scratch.subarray(0, length);
    record.set(channel.inbound.bytes.subarray(index, index + length));
  };
  while (!channel.closed) {
    if (channel.read(keep, 1) === 0) {
      if (!channel.wait(STALLED_MS) && !channel.closed) throw new Error("echo stalled: nothing to read");
      continue;
    }
    while (channel.write(type + 1, record) === INSUFFICIENT_CAPACITY) {
      if (!channel.waitForSpace(STALLED_MS, record.length) && !channel.closed) {
        throw new Error("echo stalled: no space");
      }
    }
  }
}

/**
 * The near end, on an event loop: sends `count` records and expects them back. Rejects when one is not what it must be, or
 * when it stalls.
 *
 * @param start sends the descriptor to the thread of the far end.
 */
export async function exchangeOverChannel(
  count: number,
  seed: number,
  start: (remote: ChannelDescriptor) => void,
): Promise<void> {
  const { local, remote } = Channel.create({ capacityBytes: CAPACITY_BYTES });
  start(remote);
  const expected = new Uint8Array(local.maxMessageLength);
  const expectedLengths = seeded(seed);
  let received = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    const returned = new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`channel stalled after ${received} records`)), STALLED_MS);
      const check = (type: number, index: number, length: number): void => {
        const wanted = expected.subarray(0, lengthOf(expectedLengths));
        fillPayload(wanted, received);
        if (type !== 2 + (received & 0xff)) throw new Error(`record ${received}: type ${type}`);
        if (length !== wanted.length) throw new Error(`record ${received}: ${length} bytes`);
        const bytes = local.inbound.bytes;
        for (let i = 0; i < length; i++) {
          if (bytes[index + i] !== wanted[i]) throw new Error(`record ${received}: byte ${i} of ${length}`);
        }
        if (++received === count) resolve();
      };
      local.onRecords(check, { onError: reject });
      local.onClose((reason) => reject(new Error(`channel closed (${reason}) after ${received} records`)));
    });
    await Promise.all([returned, send(local, count, seed)]);
  } finally {
    clearTimeout(timer);
    local.close();
  }
}

async function send(channel: Channel, count: number, seed: number): Promise<void> {
  const lengths = seeded(seed);
  for (let sequence = 0; sequence < count; sequence++) {
    const payload = new Uint8Array(lengthOf(lengths));
    fillPayload(payload, sequence);
    while (channel.write(1 + (sequence & 0xff), payload) === INSUFFICIENT_CAPACITY) {
      if (!(await channel.whenSpace(payload.length))) return;
    }
  }
  channel.flush();
}
