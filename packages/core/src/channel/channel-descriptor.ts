import { Doorbell } from "../doorbell/doorbell.ts";
import { CORE_LIMITS } from "../limits.ts";
import { OneToOneRingBuffer } from "../ring/one-to-one-ring-buffer.ts";
import { checkHeader, SharedKind, writeHeader } from "../shared-header.ts";
import { CHANNEL_BYTES, type ChannelSide, CONNECTED, stateWord, WAITING } from "./channel-layout.ts";

/** The platform's MessagePort: Node's where only Node's types are, the browser's where those of the DOM are. */
export type ChannelPort = InstanceType<typeof MessagePort>;

export interface ChannelOptions {
  /** Bytes of each of the two rings, a power of two from 128 to 2^30; 1 MiB unless told otherwise. */
  readonly capacityBytes?: number;
}

/**
 * One end of a channel on its way to the thread that will connect to it. A plain object for `workerData` or `postMessage`, with
 * `port` in the transfer list. Once sent it belongs to the receiver; it can be passed on any number of times before it is connected.
 */
export interface ChannelDescriptor {
  readonly side: ChannelSide;
  readonly control: SharedArrayBuffer;
  /** Ring 0 is written by side 0. */
  readonly rings: readonly [SharedArrayBuffer, SharedArrayBuffer];
  /** Doorbell 0 wakes side 0. */
  readonly bells: readonly [SharedArrayBuffer, SharedArrayBuffer];
  readonly port: ChannelPort;
}

/** What a descriptor describes, checked, as seen from its side. */
export interface ChannelParts {
  readonly control: Int32Array;
  readonly outbound: OneToOneRingBuffer;
  readonly inbound: OneToOneRingBuffer;
  /** Wakes this side. */
  readonly bell: Doorbell;
}

/** Both ends of a new channel. @throws RangeError for a capacity out of bounds. */
export function describeChannel(options: ChannelOptions): [ChannelDescriptor, ChannelDescriptor] {
  const capacity = options.capacityBytes ?? CORE_LIMITS.channelCapacityBytes;
  const rings = [OneToOneRingBuffer.allocate(capacity), OneToOneRingBuffer.allocate(capacity)] as const;
  const bells = [Doorbell.allocate(), Doorbell.allocate()] as const;
  const control = new SharedArrayBuffer(CHANNEL_BYTES);
  writeHeader(control, SharedKind.CHANNEL, capacity);
  const { port1, port2 } = new MessageChannel();
  return [
    { side: 0, control, rings, bells, port: port1 },
    { side: 1, control, rings, bells, port: port2 },
  ];
}

/**
 * Checks everything that can be checked about a descriptor, and takes its side.
 *
 * @throws TypeError when it is none, has another version, or came without its port; RangeError when its memory was cut or does not
 * belong together; Error when its side is taken.
 */
export function openDescriptor(descriptor: ChannelDescriptor): ChannelParts {
  if (typeof descriptor !== "object" || descriptor === null) {
    throw new TypeError(`not a channel descriptor: ${String(descriptor)}`);
  }
  const { side, control, rings, bells, port } = descriptor;
  const capacity = checkHeader(control, SharedKind.CHANNEL, () => CHANNEL_BYTES);
  if ((side !== 0 && side !== 1) || !Array.isArray(rings) || !Array.isArray(bells)) {
    throw new TypeError(`not a channel descriptor: side=${String(side)}`);
  }
  const other = (1 - side) as ChannelSide;
  const outbound = OneToOneRingBuffer.attach(rings[side]);
  const inbound = OneToOneRingBuffer.attach(rings[other]);
  if (outbound.capacity !== capacity || inbound.capacity !== capacity) {
    throw new RangeError(
      `rings of another channel: capacity=${outbound.capacity} and ${inbound.capacity} expected=${capacity}`,
    );
  }
  const bell = Doorbell.attach(bells[side]);
  Doorbell.attach(bells[other]);
  if (typeof port?.postMessage !== "function") {
    throw new TypeError("the channel descriptor has lost its port: it must stand in the transfer list");
  }
  const words = new Int32Array(control);
  const state = Atomics.compareExchange(words, stateWord(side), WAITING, CONNECTED);
  if (state !== WAITING) {
    throw new Error(`this end of the channel has been connected before: side=${side} state=${state}`);
  }
  return { control: words, outbound, inbound, bell };
}
