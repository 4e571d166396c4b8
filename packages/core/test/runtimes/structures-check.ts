import {
  BroadcastTransmitter,
  CopyBroadcastReceiver,
  Doorbell,
  OneToOneRingBuffer,
} from "../../src/index.ts";

/** What one thread alone can see of each structure. @throws Error at the first thing that is not as it must be. */
export function checkStructures(): void {
  checkBroadcast();
  expectError("a foreign buffer", TypeError, () => OneToOneRingBuffer.attach(Doorbell.allocate()));
  expectError("private memory", TypeError, () =>
    OneToOneRingBuffer.attach(new ArrayBuffer(1024) as unknown as SharedArrayBuffer),
  );
  expectError("a capacity", RangeError, () => OneToOneRingBuffer.allocate(1000));
}

function checkBroadcast(): void {
  const buffer = BroadcastTransmitter.allocate(1024);
  const transmitter = BroadcastTransmitter.attach(buffer);
  let missed = 0;
  const receiver = CopyBroadcastReceiver.attach(buffer, (count) => {
    missed += count;
  });
  const types: number[] = [];
  for (let i = 1; i <= 100; i++) {
    transmitter.transmit(i, new Uint8Array(24).fill(i));
    // Keeps up at first, and is lapped then.
    if (i > 10 && i < 100) continue;
    receiver.receive((type, bytes, length) => {
      if (length !== 24 || bytes[0] !== type || bytes[23] !== type)
        throw new Error(`broadcast: record ${type}`);
      types.push(type);
    }, 100);
  }
  if (types[9] !== 10 || types.at(-1) !== 100 || missed === 0 || types.length + missed !== 100) {
    throw new Error(`broadcast: received ${types.join(" ")}, missed ${missed}`);
  }
}

function expectError(what: string, kind: ErrorConstructor, action: () => void): void {
  try {
    action();
  } catch (error) {
    if (error instanceof kind) return;
    throw error;
  }
  throw new Error(`${what} was not refused`);
}
