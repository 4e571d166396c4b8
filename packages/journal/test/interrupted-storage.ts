import type { OpenMode, Storage } from "../src/internal.ts";
import { DelegatingStorage } from "./broken-storage.ts";

/** Does something else before one of its calls, or before each. */
export class InterruptedStorage extends DelegatingStorage {
  calls = 0;
  private readonly at: number | undefined;
  private readonly interrupt: () => void;

  /** @param at the number of the call, from 0; undefined: each. */
  constructor(inner: Storage, at: number | undefined, interrupt: () => void) {
    super(inner);
    this.at = at;
    this.interrupt = interrupt;
  }

  override open(path: string, mode: OpenMode): number {
    this.count();
    return super.open(path, mode);
  }
  override close(fd: number): void {
    this.count();
    super.close(fd);
  }
  override size(fd: number): number {
    this.count();
    return super.size(fd);
  }
  override read(
    fd: number,
    target: Uint8Array,
    targetStart: number,
    length: number,
    position: number,
  ): number {
    this.count();
    return super.read(fd, target, targetStart, length, position);
  }
  override write(
    fd: number,
    source: Uint8Array,
    sourceStart: number,
    length: number,
    position: number,
  ): number {
    this.count();
    return super.write(fd, source, sourceStart, length, position);
  }
  override writev(fd: number, sources: Uint8Array[], position: number): number {
    this.count();
    return super.writev(fd, sources, position);
  }
  override sync(fd: number): void {
    this.count();
    super.sync(fd);
  }
  override syncDirectory(path: string): void {
    this.count();
    super.syncDirectory(path);
  }
  override truncate(fd: number, size: number): void {
    this.count();
    super.truncate(fd, size);
  }
  override rename(from: string, to: string): void {
    this.count();
    super.rename(from, to);
  }
  override unlink(path: string): void {
    this.count();
    super.unlink(path);
  }
  override link(from: string, to: string): void {
    this.count();
    super.link(from, to);
  }
  override mkdir(path: string): void {
    this.count();
    super.mkdir(path);
  }
  override list(path: string): string[] {
    this.count();
    return super.list(path);
  }
  override exists(path: string): boolean {
    this.count();
    return super.exists(path);
  }

  private count(): void {
    const call = this.calls;
    this.calls++;
    if (this.at === undefined || this.at === call) this.interrupt();
  }
}
