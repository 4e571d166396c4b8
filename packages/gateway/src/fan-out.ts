import { copyBytes } from "@millrace/core";
import type { Clock } from "./clock.ts";
import { Fifo } from "./fifo.ts";
import { GATEWAY_LIMITS } from "./limits.ts";
import { FrameMemory, PendingFrame } from "./pending-frame.ts";
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
/** Frames that wait for one group. Small ones are joined, so that more of them are large. */
const PENDING_FRAMES_MAX = 32;

/**
 * Sends shared frames to the members of tail groups. A send costs about 10 us, and a byte of it 1 ns, so one turn of the
 * event loop does sendsPerTurn, or sendBytesPerTurn, and yields; what is left is served from a copy, because ring memory is
 * gone by then. What comes while a pass over the members goes on is joined to one frame for the next pass, so that under load
 * a send carries as much as has come since the last one. Copies are bounded: past that, members that have not been served read for themselves. Order and
 * completeness never depend on this class: each member knows its next offset, skips what it has, and leaves when something
 * is missing.
 */
export class FanOut {
  readonly #clock: Clock;
  readonly #sender: MemberSender;
  readonly #active: Fifo<TailGroup> = new Fifo();
  readonly #memory: FrameMemory = new FrameMemory();
  #sendsThisTurn = 0;
  #bytesThisTurn = 0;
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
    // A lone member is read and sent to at the speed of its socket: its bytes are not counted.
    const sharedBytes = members.length > 1 ? members.length * frameLength : 0;
    if (group.pending.length === 0 && this.#fitsThisTurn(members.length, sharedBytes)) {
      this.#sendsThisTurn += members.length;
      this.#bytesThisTurn += sharedBytes;
      this.#planTurn();
      // Backwards: a member that leaves is replaced by the last one, which has been served.
      for (let i = members.length - 1; i >= 0; i -= 1) {
        const member = members[i];
        if (member !== undefined) this.#sender.sendToMember(member, frame, firstOffset, nextOffset);
      }
      return;
    }
    const last = group.isOpen ? group.pending[group.pending.length - 1] : undefined;
    const joins = last?.canJoin(frameLength, firstOffset) === true;
    if (
      (group.pending.length >= PENDING_FRAMES_MAX && !joins) ||
      group.pendingBytes + frameLength > GATEWAY_LIMITS.fanOutGroupBytesMax ||
      this.#totalBytes + frameLength > GATEWAY_LIMITS.fanOutTotalBytesMax
    ) {
      this.#overflow(group, nextOffset);
      return;
    }
    if (last !== undefined && joins) {
      this.#count(group, -last.memoryBytes);
      last.join(this.#memory, frame, nextOffset);
      this.#count(group, last.memoryBytes);
    } else {
      const copy = this.#memory.take(frameLength);
      copyBytes(copy, 0, frame, 0, frameLength);
      const pending = new PendingFrame(copy, frameLength, firstOffset, nextOffset);
      group.pending.push(pending);
      group.isOpen = true;
      this.#count(group, pending.memoryBytes);
    }
    if (!group.isServed) {
      group.isServed = true;
      this.#active.push(group);
    }
    this.#planTurn();
  }

  /** The group's frames are of no use any more. */
  drop(group: TailGroup): void {
    this.#release(group, group.pending);
    group.pending = [];
    group.isOpen = false;
    group.pass = undefined;
    group.passFrames = [];
  }

  #count(group: TailGroup, bytes: number): void {
    group.pendingBytes += bytes;
    this.#totalBytes += bytes;
  }

  #release(group: TailGroup, frames: readonly PendingFrame[]): void {
    for (const frame of frames) {
      this.#count(group, -frame.memoryBytes);
      this.#memory.give(frame.giveUp());
    }
  }

  /** Serves what waits, up to the bound of one turn. */
  #turn(): void {
    this.#turnPlanned = false;
    this.#sendsThisTurn = 0;
    this.#bytesThisTurn = 0;
    while (this.#fitsThisTurn(1, 0)) {
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
    if (group.pass === undefined && group.pending.length > 0) startPass(group);
    while (sends < SENDS_IN_A_ROW && group.pass !== undefined && this.#fitsThisTurn(sends + 1, 0)) {
      const member = group.pass[group.passIndex];
      if (member === undefined) {
        this.#endPass(group);
        continue;
      }
      group.passIndex += 1;
      // A member may have left, and have come back, since the pass began; its next offset says what it lacks. A frame that
      // came since may still grow, so it has to wait for the next pass.
      for (let i = 0; i < group.passFrames.length; i += 1) {
        const { firstOffset, nextOffset } = group.pending[i] as PendingFrame;
        if (member.state !== JOINED || member.nextOffset >= nextOffset) continue;
        const frame = group.passFrames[i] as Uint8Array;
        sends += 1;
        this.#bytesThisTurn += frame.length;
        this.#sender.sendToMember(member, frame, firstOffset, nextOffset);
      }
    }
    this.#sendsThisTurn += Math.max(sends, 1);
  }

  #fitsThisTurn(sends: number, bytes: number): boolean {
    const { sendsPerTurn, sendBytesPerTurn } = GATEWAY_LIMITS;
    return this.#sendsThisTurn + sends <= sendsPerTurn && this.#bytesThisTurn + bytes <= sendBytesPerTurn;
  }

  /** All who were members when the pass began have its frames. Later frames, and members, need another pass. */
  #endPass(group: TailGroup): void {
    this.#release(group, group.pending.splice(0, group.passFrames.length));
    if (group.pending.length > 0) startPass(group);
    else {
      group.pass = undefined;
      group.passFrames = [];
      group.isOpen = false;
    }
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
  group.passFrames = group.pending.map((frame) => frame.bytes());
  group.isOpen = false;
}
