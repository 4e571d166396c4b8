import type { ChannelPort } from "./channel-descriptor.ts";

/** Most messages thrown away in one look; a thread that blocks leaves few. */
const DISCARD_MAX = 1000;

/** Of node:worker_threads, which cannot be imported here. */
type ReceiveMessage = (port: ChannelPort) => { message: unknown } | undefined;

/**
 * One end's MessagePort: carries pokes, which say nothing but "look into shared memory", and notices when the other end's thread is
 * gone. Belongs to the end's thread.
 */
export class ChannelLink {
  private readonly port: ChannelPort;
  private readonly onPoke: () => void;
  private readonly onGone: () => void;
  private kept: boolean | undefined;

  /**
   * @param onPoke when a poke has come.
   * @param onGone when the other end's port is closed or its thread has ended; never where the platform has no "close" event.
   */
  constructor(port: ChannelPort, onPoke: () => void, onGone: () => void) {
    this.port = port;
    this.onPoke = onPoke;
    this.onGone = onGone;
    port.addEventListener("message", onPoke);
    port.addEventListener("close", onGone);
    port.start();
    this.keep(false);
  }

  /** Sends a poke. @returns false when the platform knows that nobody is there to get it. */
  poke(): boolean {
    const sent: unknown = this.port.postMessage(null);
    return sent === true || !postMessageTells();
  }

  /**
   * For a thread that blocks, and so never hears the "close" event: whether the other end is gone. Costs a poke. Throws away the
   * pokes that have come, which nobody else would take from a thread that blocks; so look into shared memory after.
   */
  isGone(): boolean {
    const receive = receiveMessage();
    if (receive !== undefined) {
      for (let i = 0; i < DISCARD_MAX && receive(this.port) !== undefined; i++);
    }
    return !this.poke();
  }

  /** Whether the port keeps its thread alive, on platforms that end idle threads. */
  keep(alive: boolean): void {
    if (alive === this.kept) return;
    this.kept = alive;
    const port = this.port as { ref?: () => void; unref?: () => void };
    if (alive) port.ref?.();
    else port.unref?.();
  }

  close(): void {
    this.port.removeEventListener("message", this.onPoke);
    this.port.removeEventListener("close", this.onGone);
    this.port.close();
  }
}

function receiveMessage(): ReceiveMessage | undefined {
  const { process } = globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } };
  const threads = process?.getBuiltinModule?.("node:worker_threads");
  return (threads as { receiveMessageOnPort?: ReceiveMessage } | undefined)?.receiveMessageOnPort;
}

/**
 * Whether postMessage returns true while there is another end, and something else from then on. Node's does and says so nowhere,
 * other platforms return nothing; channel.stress.ts notices should it change.
 */
function postMessageTells(): boolean {
  if (tells === undefined) {
    const { port1, port2 } = new MessageChannel();
    const sent: unknown = port1.postMessage(null);
    tells = sent === true;
    port1.close();
    port2.close();
  }
  return tells;
}

let tells: boolean | undefined;
