import { closeSync, openSync, readSync } from "node:fs";

/** Of Linux, for the thread that opens it. */
const PATH = "/proc/thread-self/io";
const LABEL = Buffer.from("\nread_bytes: ");
const LINE_FEED = 0x0a;
const ZERO = 0x30;

/**
 * How many bytes the kernel has read from disks on behalf of this thread, with what it read ahead: unlike the time that a
 * read takes, this tells a disk from the page cache on any machine. One thread, the one that opened it.
 */
export class DiskMeter {
  private readonly fd: number;
  private readonly bytes: Buffer = Buffer.alloc(512);

  private constructor(fd: number) {
    this.fd = fd;
  }

  /** Undefined where the kernel does not count, or does not tell. */
  static open(path: string = PATH): DiskMeter | undefined {
    let fd: number;
    try {
      fd = openSync(path, "r");
    } catch {
      return undefined;
    }
    const meter = new DiskMeter(fd);
    if (meter.read() >= 0) return meter;
    closeSync(fd);
    return undefined;
  }

  /** Never less than before. */
  bytesRead(): number {
    return Math.max(0, this.read());
  }

  /** @returns -1 when there is no such line */
  private read(): number {
    const { bytes } = this;
    let length: number;
    try {
      length = readSync(this.fd, bytes, 0, bytes.length, 0);
    } catch {
      return -1;
    }
    const label = bytes.subarray(0, length).indexOf(LABEL);
    if (label < 0) return -1;
    let count = 0;
    for (let at = label + LABEL.length; at < length && bytes[at] !== LINE_FEED; at++) {
      count = count * 10 + (bytes[at] as number) - ZERO;
    }
    return count;
  }
}
