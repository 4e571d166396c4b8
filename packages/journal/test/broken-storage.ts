import type { OpenMode, Storage } from "../src/internal.ts";

/** Passes every call on; a test overrides the one that it breaks. */
export class DelegatingStorage implements Storage {
  protected readonly inner: Storage;

  constructor(inner: Storage) {
    this.inner = inner;
  }

  open(path: string, mode: OpenMode): number {
    return this.inner.open(path, mode);
  }
  close(fd: number): void {
    this.inner.close(fd);
  }
  size(fd: number): number {
    return this.inner.size(fd);
  }
  read(fd: number, target: Uint8Array, targetStart: number, length: number, position: number): number {
    return this.inner.read(fd, target, targetStart, length, position);
  }
  write(fd: number, source: Uint8Array, sourceStart: number, length: number, position: number): number {
    return this.inner.write(fd, source, sourceStart, length, position);
  }
  writev(fd: number, sources: Uint8Array[], position: number): number {
    return this.inner.writev(fd, sources, position);
  }
  sync(fd: number): void {
    this.inner.sync(fd);
  }
  syncDirectory(path: string): void {
    this.inner.syncDirectory(path);
  }
  truncate(fd: number, size: number): void {
    this.inner.truncate(fd, size);
  }
  rename(from: string, to: string): void {
    this.inner.rename(from, to);
  }
  unlink(path: string): void {
    this.inner.unlink(path);
  }
  link(from: string, to: string): void {
    this.inner.link(from, to);
  }
  mkdir(path: string): void {
    this.inner.mkdir(path);
  }
  list(path: string): string[] {
    return this.inner.list(path);
  }
  exists(path: string): boolean {
    return this.inner.exists(path);
  }
}

/** Forgets to sync the data of segments; everything else is synced. */
export class WithoutDataSync extends DelegatingStorage {
  private readonly segments: Set<number> = new Set();

  override open(path: string, mode: OpenMode): number {
    const fd = super.open(path, mode);
    // A segment is made under another name.
    if (path.endsWith(".log") || path.includes("/prepared-")) this.segments.add(fd);
    return fd;
  }

  override sync(fd: number): void {
    if (!this.segments.has(fd)) super.sync(fd);
  }
}

/** Forgets to sync folders. */
export class WithoutDirectorySync extends DelegatingStorage {
  override syncDirectory(): void {}
}
