import { type Storage, writeFully } from "../src/storage/storage.ts";

/** Puts a small file into a folder, whole and durable. */
export function placeFile(storage: Storage, directory: string, name: string, bytes: Uint8Array): void {
  const fd = storage.open(`${directory}/${name}`, "create");
  writeFully(storage, fd, bytes, 0, bytes.length, 0);
  storage.sync(fd);
  storage.close(fd);
  storage.syncDirectory(directory);
}
