import { crc32 } from "@millrace/protocol/internal";
import type { JournalIndex } from "../lookup/journal-index.ts";
import { replaceFileFenced } from "../ownership/fence.ts";
import type { LiveSegment } from "../segment/segment-chain.ts";
import { segmentFileName } from "../segment/segment-layout.ts";
import type { SettledSegment } from "../settled/file-removal.ts";
import {
  decodeManifest,
  encodeManifest,
  MANIFEST_FORMAT_VERSION,
  type Manifest,
  manifestFileName,
  parseManifestFileName,
} from "../settled/manifest-layout.ts";
import { parseSettledFileName, settledFileName } from "../settled/settled-layout.ts";
import type { RecoveredSettling } from "../settled/settler.ts";
import { errorCodeOf, readFile, type Storage } from "../storage/storage.ts";
import { type RecoveredFolder, refuseDamaged, refuseNewer } from "./refusal.ts";

/**
 * What recovery does about settled files. It looks at the manifest and at each file's size, never into the files: a start
 * takes as long however much is retained.
 */
export class SettledRecovery {
  private readonly storage: Storage;
  private readonly folder: RecoveredFolder;
  private readonly epoch: number;
  private readonly names: readonly string[];
  private readonly manifest: Manifest | undefined;

  /**
   * Reads the manifest of the highest epoch.
   * @param names all names in the folder. `epoch` of the owner that recovers.
   * @throws MillraceError JOURNAL_DAMAGED, also for a file that is missing or too short; DATA_FORMAT_NEWER
   */
  constructor(
    storage: Storage,
    folder: RecoveredFolder & { readonly epoch: number },
    names: readonly string[],
  ) {
    this.storage = storage;
    this.folder = folder;
    this.epoch = folder.epoch;
    this.names = names;
    this.manifest = this.readManifest();
    this.checkFiles();
  }

  /** Everything before it is settled or gone, and was durable together with the entry that stands there; 0 without a manifest. */
  get settledPosition(): number {
    return this.manifest?.settledPosition ?? 0;
  }

  /** Of the manifest that says so. */
  get manifestName(): string {
    return manifestFileName(this.manifest?.epoch ?? 0);
  }

  /** Tells the index how much of each partition is settled. */
  restore(index: JournalIndex): void {
    for (const { topicId, partition, bytes } of this.manifest?.partitions ?? []) {
      index.partitionIndex(topicId, partition).settledBytes = bytes;
    }
  }

  /**
   * Writes the manifest of this epoch, durable: whatever a former owner still does to its own changes nothing from now on.
   * Also when there is none but a settled file, whose manifest a former owner may be about to write.
   */
  takeOver(segments: readonly LiveSegment[]): RecoveredSettling {
    const { storage, epoch, names, settledPosition } = this;
    const { directory, shardId } = this.folder;
    const settled = names.filter((name) => parseSettledFileName(name) !== undefined);
    const { files = [], partitions = [] } = this.manifest ?? {};
    let generation = 0;
    if (this.manifest !== undefined || settled.length > 0) {
      generation = (this.manifest?.generation ?? 0) + 1;
      const content = encodeManifest({ shardId, epoch, generation, settledPosition, files, partitions });
      replaceFileFenced(storage, directory, manifestFileName(epoch), withChecksum(content), epoch);
    }
    const listed = new Set(files.map(settledFileName));
    const logs = new Set(segments.map(({ basePosition, epoch: of }) => segmentFileName(basePosition, of)));
    const unwanted = names.filter(
      (name) =>
        parseManifestFileName(name) !== undefined ||
        (name.endsWith(".settled") && !listed.has(name)) ||
        // Of a segment whose own name went first.
        (name.endsWith(".idx") && !logs.has(name.replace(/idx$/, "log"))),
    );
    return { files, settledPosition, generation, prefix: this.prefixOf(segments), unwanted };
  }

  /** Segments whose batches are settled. Where some are gone already, others count up to the next one that is there. */
  private prefixOf(segments: readonly LiveSegment[]): SettledSegment[] {
    const prefix: SettledSegment[] = [];
    for (let i = 0; i + 1 < segments.length; i++) {
      const { basePosition, epoch } = segments[i] as LiveSegment;
      if (basePosition >= this.settledPosition) break;
      const endPosition = (segments[i + 1] as LiveSegment).basePosition;
      prefix.push({ basePosition, epoch, endPosition });
    }
    return prefix;
  }

  private readManifest(): Manifest | undefined {
    const epochs = this.names.map(parseManifestFileName).filter((epoch) => epoch !== undefined);
    if (epochs.length === 0) return undefined;
    const newest = Math.max(...epochs);
    const name = manifestFileName(newest);
    if (newest >= this.epoch) refuseDamaged(this.folder, name, 0, "fence is older than this manifest");
    const path = `${this.folder.directory}/${name}`;
    const bytes = readFile(this.storage, path);
    const manifest = bytes === undefined ? undefined : decodeManifest(bytes);
    if (manifest === undefined) return refuseDamaged(this.folder, name, 0, "manifest is damaged");
    if (manifest.version > MANIFEST_FORMAT_VERSION) {
      refuseNewer(path, manifest.version, MANIFEST_FORMAT_VERSION);
    }
    if (manifest.shardId !== this.folder.shardId || manifest.epoch !== newest) {
      refuseDamaged(
        this.folder,
        name,
        0,
        `manifest is of shard ${manifest.shardId}, epoch ${manifest.epoch}`,
      );
    }
    return manifest;
  }

  private checkFiles(): void {
    for (const file of this.manifest?.files ?? []) {
      const name = settledFileName(file);
      const size = this.sizeOf(`${this.folder.directory}/${name}`);
      if (size === undefined) refuseDamaged(this.folder, name, file.basePosition, "settled file is missing");
      if (size < file.sizeBytes) {
        refuseDamaged(
          this.folder,
          name,
          file.basePosition,
          `settled file has ${size} of ${file.sizeBytes} bytes`,
        );
      }
    }
  }

  private sizeOf(path: string): number | undefined {
    const { storage } = this;
    let fd: number;
    try {
      fd = storage.open(path, "read");
    } catch (error) {
      if (errorCodeOf(error) === "ENOENT") return undefined;
      throw error;
    }
    try {
      return storage.size(fd);
    } finally {
      storage.close(fd);
    }
  }
}

function withChecksum(content: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(content.length + 4);
  bytes.set(content);
  bytes.writeUInt32LE(crc32(content, 0, content.length), content.length);
  return bytes;
}
