import { readFileSync } from "node:fs";

/** How much the kernel lets stay unwritten before it slows writers down. Linux only. */
export interface DirtyLimits {
  readonly availableBytes: number;
  /** Write-back begins. */
  readonly backgroundBytes: number;
  /** Writers wait. */
  readonly limitBytes: number;
  /** Where the limits come from, in words. */
  readonly source: string;
}

export function dirtyLimits(): DirtyLimits {
  const availableBytes = memoryField("MemAvailable");
  const background = dirtySetting("dirty_background", availableBytes);
  const limit = dirtySetting("dirty", availableBytes);
  return {
    availableBytes,
    backgroundBytes: background.bytes,
    limitBytes: limit.bytes,
    source: `${background.source}, ${limit.source}`,
  };
}

/** Bytes that a process has caused to be written to storage so far (/proc/PID/io); undefined once it is gone. */
export function writtenBytes(pid: number): number | undefined {
  try {
    const match = /^write_bytes: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, "latin1"));
    return match === null ? undefined : Number(match[1]);
  } catch {
    return undefined;
  }
}

/** vm.NAME_bytes where it is set, else vm.NAME_ratio per cent of what is available. */
function dirtySetting(name: string, availableBytes: number): { bytes: number; source: string } {
  const bytes = setting(`${name}_bytes`);
  if (bytes > 0) return { bytes, source: `${name}_bytes ${bytes}` };
  const ratio = setting(`${name}_ratio`);
  return { bytes: (availableBytes * ratio) / 100, source: `${name}_ratio ${ratio} %` };
}

function setting(name: string): number {
  return Number(readFileSync(`/proc/sys/vm/${name}`, "latin1"));
}

function memoryField(name: string): number {
  const match = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(readFileSync("/proc/meminfo", "latin1"));
  return Number(match?.[1] ?? 0) * 1024;
}
