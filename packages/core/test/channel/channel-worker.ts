import { parentPort, workerData } from "node:worker_threads";
import { CHANNEL_CLOSED, Channel, type ChannelDescriptor, INSUFFICIENT_CAPACITY } from "../../src/index.ts";
import { CORE_LIMITS } from "../../src/limits.ts";
import { type Seeded, seeded } from "../seeded.ts";

/** How a thread uses its end. */
export type EndKind = "blocking" | "loop";

/**
 * - ping-pong: one record there, one back; both sleep in between. Side 0 serves, and closes.
 * - exchange: both send all they have, and close when they have received all.
 * - send: sends, and closes without waiting for anything. receive: reads until the end.
 * - flood: sends until the channel is closed, and counts in `flushed` what it is sure to have flushed.
 */
export type Role = "ping-pong" | "exchange" | "send" | "receive" | "flood";

/**
 * The mistakes of the canaries.
 * - no-ring: publishes without ringing.
 * - torn: one byte of one record is another.
 * - no-flush: ends without flushing or closing.
 */
export type Mistake = "no-ring" | "torn" | "no-flush";

export interface PartyData {
  role: Role;
  kind: EndKind;
  side: 0 | 1;
  /** Absent: comes as a message. */
  channel?: ChannelDescriptor;
  records: number;
  seed: number;
  flushed: SharedArrayBuffer;
  mistake?: Mistake;
}

export interface PartyReport {
  sent: number;
  received: number;
  closed: boolean;
  /** The first thing that was wrong about a record. */
  wrong?: string;
}

/** Mostly short records, sometimes the longest, sometimes empty. */
class Records {
  private readonly random: Seeded;
  private readonly most: number;
  count = 0;

  constructor(seed: number, side: number, most: number) {
    this.random = seeded(seed * 2 + side);
    this.most = most;
  }

  /** @returns the length of the next. */
  next(): number {
    this.count++;
    const { random, most } = this;
    if (random.below(20) === 0) return random.below(2) === 0 ? 0 : most;
    return random.below(random.below(8) === 0 ? most : 100);
  }

  byte(index: number): number {
    return (this.count * 7 + index) & 0xff;
  }

  get type(): number {
    return (this.count % 1000) + 1;
  }
}

class Party {
  private readonly data: PartyData;
  private readonly channel: Channel;
  private readonly outgoing: Records;
  private readonly incoming: Records;
  private readonly pauses: Seeded;
  private readonly flushed: Int32Array;
  private wrong: string | undefined;

  constructor(data: PartyData, descriptor: ChannelDescriptor) {
    this.data = data;
    this.channel = Channel.connect(descriptor);
    const most = this.channel.maxMessageLength;
    this.outgoing = new Records(data.seed, data.side, most);
    this.incoming = new Records(data.seed, 1 - data.side, most);
    this.pauses = seeded(data.seed + 17 + data.side);
    this.flushed = new Int32Array(data.flushed);
  }

  async play(): Promise<PartyReport> {
    const { role, kind } = this.data;
    if (kind === "blocking") this.playBlocking(role);
    else await this.playLoop(role);
    const report: PartyReport = {
      sent: this.outgoing.count,
      received: this.incoming.count,
      closed: this.channel.closed,
    };
    if (this.wrong !== undefined) report.wrong = this.wrong;
    return report;
  }

  private playBlocking(role: Role): void {
    const { channel, data } = this;
    if (role === "receive") {
      while (!channel.closed) {
        channel.wait();
        this.readAll();
      }
    } else if (role === "ping-pong") {
      for (let round = 1; round <= data.records; round++) {
        if (data.side === 0) this.sendOne();
        while (this.incoming.count < round && !channel.closed) {
          channel.wait();
          this.readAll();
        }
        if (data.side === 1) this.sendOne();
      }
      if (data.side === 0) channel.close();
      else while (channel.wait());
    } else {
      this.sendBlocking(role);
      if (role === "exchange") {
        while (this.incoming.count < data.records && !channel.closed) {
          channel.wait();
          this.readAll();
        }
      }
      if (data.mistake !== "no-flush") channel.close();
    }
  }

  private sendBlocking(role: Role): void {
    const { channel } = this;
    while (role === "flood" || this.outgoing.count < this.data.records) {
      const length = this.outgoing.next();
      let index = channel.tryClaim(this.outgoing.type, length);
      while (index === INSUFFICIENT_CAPACITY) {
        if (role === "exchange") {
          this.readAll();
          channel.waitForSpace(1, length);
        } else channel.waitForSpace(Number.POSITIVE_INFINITY, length);
        index = channel.tryClaim(this.outgoing.type, length);
      }
      if (index === CHANNEL_CLOSED) return;
      this.fill(index, length);
    }
    this.flush();
  }

  private async playLoop(role: Role): Promise<void> {
    const { channel, data } = this;
    const closed = new Promise((resolve) => channel.onClose(resolve));
    let received = (): void => {};
    const all = new Promise<void>((resolve) => {
      received = resolve;
    });
    channel.onRecords(
      (type, index, length) => {
        this.check(type, index, length);
        if (role === "ping-pong") {
          if (data.side === 1) this.sendOne();
          else if (this.incoming.count < data.records) this.sendOne();
          else channel.close();
        } else if (this.incoming.count === data.records) received();
      },
      { limit: 1 + this.pauses.below(100) },
    );
    if (role === "ping-pong" && data.side === 0) this.sendOne();
    if (role === "receive" || role === "ping-pong") {
      await closed;
      return;
    }
    await this.sendLoop(role);
    if (role === "exchange") await Promise.race([all, closed]);
    if (data.mistake !== "no-flush") channel.close();
  }

  private async sendLoop(role: Role): Promise<void> {
    const { channel } = this;
    while (role === "flood" || this.outgoing.count < this.data.records) {
      const length = this.outgoing.next();
      let index = channel.tryClaim(this.outgoing.type, length);
      while (index === INSUFFICIENT_CAPACITY) {
        await channel.whenSpace(length);
        index = channel.tryClaim(this.outgoing.type, length);
      }
      if (index === CHANNEL_CLOSED) return;
      this.fill(index, length);
      if (this.pauses.below(500) === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    this.flush();
  }

  private sendOne(): void {
    const length = this.outgoing.next();
    const index = this.channel.tryClaim(this.outgoing.type, length);
    if (index < 0) {
      this.wrong ??= `no space for one record: index=${index}`;
      return;
    }
    this.fill(index, length);
    this.flush();
  }

  private fill(index: number, length: number): void {
    const { channel, outgoing } = this;
    const { bytes } = channel.outbound;
    for (let i = 0; i < length; i++) bytes[index + i] = outgoing.byte(i);
    if (this.data.mistake === "torn" && outgoing.count === 500 && length > 0) bytes[index]! ^= 1;
    channel.commit(index);
    if (this.pauses.below(100) === 0) this.flush();
  }

  private flush(): void {
    const { channel, data } = this;
    if (data.mistake === "no-flush") return;
    if (data.mistake === "no-ring") channel.outbound.publish();
    else channel.flush();
    Atomics.store(this.flushed, data.side, this.outgoing.count);
  }

  private readAll(): void {
    this.channel.read((type, index, length) => this.check(type, index, length));
  }

  private check(type: number, index: number, length: number): void {
    const { incoming } = this;
    const expected = incoming.next();
    if (this.wrong !== undefined) return;
    if (length !== expected || type !== incoming.type) {
      this.wrong = `record ${incoming.count}: length=${length} type=${type} expected=${expected} ${incoming.type}`;
      return;
    }
    const { bytes } = this.channel.inbound;
    for (let i = 0; i < length; i++) {
      if (bytes[index + i] !== incoming.byte(i)) {
        this.wrong = `record ${incoming.count}: byte ${i} of ${length}`;
        return;
      }
    }
  }
}

if (workerData !== null) {
  const data = workerData as PartyData;
  // A blocking end looks after its peer from time to time, which would heal a wake-up that was lost.
  if (data.role !== "flood" && data.role !== "receive") {
    (CORE_LIMITS as { channelProbeMsMin: number }).channelProbeMsMin = Number.POSITIVE_INFINITY;
  }
  const descriptor =
    data.channel ?? (await new Promise<ChannelDescriptor>((resolve) => parentPort?.once("message", resolve)));
  const report = await new Party(data, descriptor).play();
  parentPort?.postMessage(report);
}
