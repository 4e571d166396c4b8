import { Doorbell } from "../doorbell/doorbell.ts";
import type { OneToOneRingBuffer } from "../ring/one-to-one-ring-buffer.ts";
import type { MessageHandler } from "../ring/ring-buffer.ts";
import { RECORD_HEADER_BYTES } from "../ring/ring-layout.ts";
import { type ChannelDescriptor, openDescriptor } from "./channel-descriptor.ts";
import { CLOSED, CONNECTED, stateWord, WAITING, wantedWord } from "./channel-layout.ts";
import { ChannelLink } from "./channel-link.ts";
import { ClosedListeners, type CloseReason, ConnectedPromise } from "./channel-promises.ts";

/**
 * One end of a channel: its rings and doorbells, and what it knows of the other end. Shared by the two ways to use it, which are
 * ChannelSleep and ChannelLoop. Belongs to the end's thread.
 */
export class ChannelEnd {
  readonly outbound: OneToOneRingBuffer;
  readonly inbound: OneToOneRingBuffer;
  /** Wakes this end. */
  readonly bell: Doorbell;
  readonly link: ChannelLink;
  readonly connection: ConnectedPromise = new ConnectedPromise();
  readonly listeners: ClosedListeners = new ClosedListeners();

  /** Neither end has closed, as far as this one has noticed. */
  open = true;
  /** Nothing more will be read or written here. */
  finished = false;
  /** Is told when a poke has come, when the connection stands, and at the end. */
  onChange: () => void = () => {};

  private readonly control: Int32Array;
  private readonly peerBell: Doorbell;
  private readonly ownState: number;
  private readonly peerState: number;
  private readonly ownWanted: number;
  private readonly peerWanted: number;
  private reason: CloseReason = "remote";
  private reading = false;
  private halted = false;

  /** @throws as openDescriptor. */
  constructor(descriptor: ChannelDescriptor) {
    const { control, outbound, inbound, bell } = openDescriptor(descriptor);
    const { side, bells, port } = descriptor;
    const other = side === 0 ? 1 : 0;
    this.control = control;
    this.outbound = outbound;
    this.inbound = inbound;
    this.ownState = stateWord(side);
    this.peerState = stateWord(other);
    this.ownWanted = wantedWord(side);
    this.peerWanted = wantedWord(other);
    this.bell = bell;
    this.link = new ChannelLink(
      port,
      () => this.onChange(),
      () => {
        this.lose();
        this.onChange();
      },
    );
    this.peerBell = Doorbell.attach(bells[other], () => this.link.poke());
    // Whoever waits for the connection looks when it is poked.
    if (this.link.poke()) return;
    // The other end was gone before this one listened, so there will be no event.
    this.lose();
    queueMicrotask(() => this.onChange());
  }

  isConnected(): boolean {
    return this.open && Atomics.load(this.control, this.peerState) === CONNECTED;
  }

  flush(): boolean {
    if (!this.open || !this.outbound.publish()) return false;
    this.peerBell.ring();
    return true;
  }

  read(handler: MessageHandler, limit: number): number {
    if (this.reading) throw new Error("a handler must not read from the channel that calls it");
    if (this.finished) return 0;
    const inbound = this.inbound;
    if (inbound.poll() === 0) {
      this.checkEnd();
      return 0;
    }
    const words = inbound.words;
    let count = 0;
    this.reading = true;
    this.halted = false;
    try {
      while (count < limit && !this.halted) {
        const index = inbound.next();
        if (index < 0) break;
        count++;
        inbound.advance();
        const word = index >> 2;
        handler(
          words[word + 1] as number,
          index + RECORD_HEADER_BYTES,
          (words[word] as number) - RECORD_HEADER_BYTES,
        );
      }
    } finally {
      this.reading = false;
      inbound.release();
      this.grantSpace();
      if (!this.open) this.checkEnd();
    }
    return count;
  }

  /** A read that is under way ends after the record that it is at. */
  halt(): void {
    this.halted = true;
  }

  /** Whether there is a record to read, or where `bytes` are given, whether as many are free. */
  isReady(bytes: number): boolean {
    return bytes === 0 ? this.inbound.poll() > 0 : this.outbound.freeSpace() >= bytes;
  }

  /** What the peer has to free before this end is woken; 0 takes the wish back. */
  wantSpace(bytes: number): void {
    Atomics.store(this.control, this.ownWanted, bytes);
  }

  /** Looks at what the peer says about itself. */
  look(): void {
    const state = Atomics.load(this.control, this.peerState);
    if (state === WAITING) return;
    this.connection.resolve();
    if (state === CLOSED && this.open) {
      this.open = false;
      this.reason = "remote";
    }
  }

  /** The peer's thread has ended, or its port was closed: whatever it has flushed is there. */
  lose(): void {
    this.look();
    if (!this.open) return;
    this.open = false;
    this.reason = "lost";
  }

  /** Closes this end when the peer has ended and nothing is left to read: the state is looked at before the ring. */
  checkEnd(): void {
    if (this.finished) return;
    this.look();
    if (!this.open && !this.reading && this.inbound.poll() === 0) this.finish(this.reason);
  }

  finish(reason: CloseReason): void {
    this.finished = true;
    this.open = false;
    this.halted = true;
    this.reason = reason;
    Atomics.store(this.control, this.ownState, CLOSED);
    this.bell.cancelSleep();
    this.peerBell.ring();
    // Whatever the peer's doorbell says, its event loop is to hear of it.
    this.link.poke();
    this.link.close();
    this.connection.reject();
    this.listeners.tell(reason);
    this.onChange();
  }

  /** After a release. The peer announces what it wants, then looks at the head; here it is the other way round (Dekker's argument). */
  private grantSpace(): void {
    const wanted = Atomics.load(this.control, this.peerWanted);
    if (wanted === 0 || this.inbound.capacity - this.inbound.size() < wanted) return;
    // Where the exchange fails it has announced another wish since, and looked itself.
    if (Atomics.compareExchange(this.control, this.peerWanted, wanted, 0) === wanted) this.peerBell.ring();
  }
}
