import type { Clock } from "./clock.ts";
import { Fifo } from "./fifo.ts";
import { GATEWAY_LIMITS } from "./limits.ts";
import { JOINED, type StreamReader } from "./stream-reader.ts";
import type { TailGroup } from "./tail-group.ts";

/** Who sends to members. */
export interface MemberSender {
  /** Sends the frame to the member if it lacks it and can take it; otherwise the member leaves its group. */
  sendToMember(stream: StreamReader, frame: Uint8Array, firstOffset: number, nextOffset: number): void;
  /** The frames that these members wait for were dropped: they leave the group and read for themselves. */
  leaveGroup(stream: StreamReader): void;
}

/** Sends that one group gets before another group has its turn. */
const SENDS_IN_A_ROW = 16;
/** Small frames that wait for one group; a member that reads for itself gets them joined into one. */
const PENDING_FRAMES_MAX = 32;

/**
 * Sends shared frames to the members of tail groups. A send costs about 10 us, so one turn of the event loop does
 * sendsPerTurn and yields; what is left is served from a copy, because ring memory is gone by then. Copies are bounded:
 * past that, members that have not been served read for themselves. Order and completeness never depend on this
 * class: each member knows its next offset, skips what it has, and leaves when something is missing.
 */
export class FanOut {
  readonly #clock: Clock;
  readonly #sender: MemberSender;
  readonly #active: Fifo<TailGroup> = new Fifo();
  #sendsThisTurn = 0;
  #turnPlanned = false;
  #totalBytes = 0;

  constructor(clock: Clock, sender: MemberSender) {
    this.#clock = clock;
    this.#sender = sender;
  }

  /** Bytes of the copies. */
  get pendingBytes(): number {
    return this.#totalBytes;
  }

  /** `bytes` is ring memory, valid until the call returns. */
  deliver(
    group: TailGroup,
    bytes: Buffer,
    frameStart: number,
    frameLength: number,
    firstOffset: number,
    nextOffset: number,
  ): void {
    const { members } = group;
    const frame = new Uint8Array(bytes.buffer, bytes.byteOffset + frameStart, frameLength);
    if (group.pending.length === 0 && this.#sendsThisTurn + members.length <= GATEWAY_LIMITS.sendsPerTurn) {
      this.#sendsThisTurn += members.length;
      this.#planTurn();
      // Backwards: a member that leaves is replaced by the last one, which has been served.
      for (let i = members.length - 1; i >= 0; i -= 1) {
        const member = members[i];
        if (member !== undefined) this.#sender.sendToMember(member, frame, firstOffset, nextOffset);
      }
      return;
    }
    if (
      group.pending.length >= PENDING_FRAMES_MAX ||
      group.pendingBytes + frameLength > GATEWAY_LIMITS.fanOutGroupBytesMax ||
      this.#totalBytes + frameLength > GATEWAY_LIMITS.fanOutTotalBytesMax
    ) {
      this.#overflow(group, nextOffset);
      return;
    }
    const copy = new Uint8Array(frameLength);
    copy.set(frame);
    group.pending.push({ bytes: copy, firstOffset, nextOffset });
    group.pendingBytes += frameLength;
    this.#totalBytes += frameLength;
    if (group.pass === undefined) startPass(group);
    if (!group.isServed) {
      group.isServed = true;
      this.#active.push(group);
    }
    this.#planTurn();
  }

  /** The group's frames are of no use any more. */
  drop(group: TailGroup): void {
    this.#totalBytes -= group.pendingBytes;
    group.pendingBytes = 0;
    group.pending = [];
    group.pass = undefined;
  }

  /** Serves what waits, up to the bound of one turn. */
  #turn(): void {
    this.#turnPlanned = false;
    this.#sendsThisTurn = 0;
    while (this.#sendsThisTurn < GATEWAY_LIMITS.sendsPerTurn) {
      const group = this.#active.shift();
      if (group === undefined) return;
      this.#serve(group);
      if (group.pending.length > 0) this.#active.push(group);
      else group.isServed = false;
    }
    this.#planTurn();
  }

  #serve(group: TailGroup): void {
    let sends = 0;
    while (sends < SENDS_IN_A_ROW && group.pass !== undefined) {
      const member = group.pass[group.passIndex];
      if (member === undefined) {
        this.#endPass(group);
        continue;
      }
      group.passIndex += 1;
      // A member may have left, and have come back, since the pass began; its next offset says what it lacks.
      for (const { bytes, firstOffset, nextOffset } of group.pending) {
        if (member.state !== JOINED || member.nextOffset >= nextOffset) continue;
        sends += 1;
        this.#sender.sendToMember(member, bytes, firstOffset, nextOffset);
      }
    }
    this.#sendsThisTurn += Math.max(sends, 1);
  }

  /** All who were members when the pass began have its frames. Later frames, and members, need another pass. */
  #endPass(group: TailGroup): void {
    const done = group.pending.splice(0, group.passFrames);
    for (const { bytes } of done) {
      group.pendingBytes -= bytes.length;
      this.#totalBytes -= bytes.length;
    }
    if (group.pending.length > 0) startPass(group);
    else group.pass = undefined;
  }

  #overflow(group: TailGroup, nextOffset: number): void {
    this.drop(group);
    for (const member of [...group.members]) {
      if (member.state === JOINED && member.nextOffset < nextOffset) this.#sender.leaveGroup(member);
    }
  }

  #planTurn(): void {
    if (this.#turnPlanned) return;
    this.#turnPlanned = true;
    this.#clock.soon(() => this.#turn());
  }
}

function startPass(group: TailGroup): void {
  group.pass = [...group.members];
  group.passIndex = 0;
  group.passFrames = group.pending.length;
}
