import { MillraceError } from "@millrace/protocol";
import {
  decodeManifest,
  type Manifest,
  manifestFileName,
  parseManifestFileName,
  type SettledFile,
} from "../settled/manifest-layout.ts";
import { type SettledName, settledFileName } from "../settled/settled-layout.ts";
import { readFile, type Storage } from "../storage/storage.ts";
import type { IndexSource } from "./file-index-cache.ts";
import { shardDirectoryName } from "./shard-directory.ts";

/** The settled files of a shard by basePosition and part, as one manifest lists them: some 60 bytes a file. */
export class SettledFileTable {
  readonly directory: string;
  readonly epoch: number;
  readonly generation: number;
  /** What the journal held before this is settled, or gone. */
  readonly settledPosition: number;
  readonly count: number;
  readonly firstTopicId: Uint32Array;
  readonly lastTopicId: Uint32Array;
  /** Least and greatest append time in the file. */
  readonly firstTime: Float64Array;
  readonly lastTime: Float64Array;
  private readonly basePosition: Float64Array;
  private readonly endPosition: Float64Array;
  private readonly footerAt: Float64Array;
  private readonly ownerEpoch: Uint32Array;
  private readonly part: Uint16Array;

  constructor(directory: string, { epoch, generation, settledPosition, files }: Manifest) {
    const count = files.length;
    this.directory = directory;
    this.epoch = epoch;
    this.generation = generation;
    this.settledPosition = settledPosition;
    this.count = count;
    const numbers = (of: (file: SettledFile) => number): Float64Array => Float64Array.from(files, of);
    const integers = (of: (file: SettledFile) => number): Uint32Array => Uint32Array.from(files, of);
    this.firstTopicId = integers((file) => file.firstTopicId);
    this.lastTopicId = integers((file) => file.lastTopicId);
    this.firstTime = numbers((file) => file.firstTime);
    this.lastTime = numbers((file) => file.lastTime);
    this.basePosition = numbers((file) => file.basePosition);
    this.endPosition = numbers((file) => file.endPosition);
    this.footerAt = numbers((file) => file.footerAt);
    this.ownerEpoch = integers((file) => file.epoch);
    this.part = Uint16Array.from(files, (file) => file.part);
  }

  name(at: number): SettledName {
    return {
      basePosition: this.basePosition[at] as number,
      epoch: this.ownerEpoch[at] as number,
      part: this.part[at] as number,
    };
  }

  /** Where the file's index is. Its entries end there. */
  source(at: number): IndexSource {
    return {
      path: `${this.directory}/${settledFileName(this.name(at))}`,
      indexAt: this.footerAt[at] as number,
      endPosition: this.endPosition[at] as number,
    };
  }

  /** False: the file has nothing of the topic, whatever its index says. */
  mayHold(at: number, topicId: number): boolean {
    return (this.firstTopicId[at] as number) <= topicId && (this.lastTopicId[at] as number) >= topicId;
  }

  /** Index of the file with this name, or -1. */
  find({ basePosition, epoch, part }: SettledName): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.basePosition[middle] as number) < basePosition) low = middle + 1;
      else high = middle;
    }
    for (let at = low; at < this.count && this.basePosition[at] === basePosition; at++) {
      if (this.part[at] === part && this.ownerEpoch[at] === epoch) return at;
    }
    return -1;
  }
}

/** Which settled files count, for each shard that was asked for. One thread, not that of a shard. */
export class SettledCatalog {
  private readonly storage: Storage;
  private readonly shardsDirectory: string;
  private readonly tables: Map<number, SettledFileTable> = new Map();

  constructor(storage: Storage, shardsDirectory: string) {
    this.storage = storage;
    this.shardsDirectory = shardsDirectory;
  }

  /**
   * What the manifest of this or a later generation lists.
   * @throws MillraceError READ_FAILED when there is none that is whole; what the storage throws
   */
  at(shardId: number, epoch: number, generation: number): SettledFileTable {
    const known = this.tables.get(shardId);
    if (known !== undefined && !isOlder(known, epoch, generation)) return known;
    const table = this.load(shardId, epoch) ?? this.newest(shardId);
    if (table === undefined || isOlder(table, epoch, generation)) {
      throw this.unusable(shardId, manifestFileName(epoch), `lacks generation ${generation}`);
    }
    return table;
  }

  /**
   * What the newest manifest on the disk lists; undefined when there is none.
   * @throws as `at`
   */
  newest(shardId: number): SettledFileTable | undefined {
    let epoch = -1;
    for (const name of this.storage.list(this.directory(shardId))) {
      epoch = Math.max(epoch, parseManifestFileName(name) ?? -1);
    }
    return epoch < 0 ? undefined : this.load(shardId, epoch);
  }

  private load(shardId: number, epoch: number): SettledFileTable | undefined {
    const directory = this.directory(shardId);
    const name = manifestFileName(epoch);
    const bytes = readFile(this.storage, `${directory}/${name}`);
    if (bytes === undefined) return undefined;
    const manifest = decodeManifest(bytes);
    if (manifest === undefined || manifest.shardId !== shardId) {
      throw this.unusable(shardId, name, "is damaged");
    }
    const table = new SettledFileTable(directory, manifest);
    this.tables.set(shardId, table);
    return table;
  }

  private directory(shardId: number): string {
    return `${this.shardsDirectory}/${shardDirectoryName(shardId)}`;
  }

  private unusable(shardId: number, name: string, why: string): MillraceError {
    const file = `${this.directory(shardId)}/${name}`;
    return new MillraceError("READ_FAILED", `manifest ${why}: ${file}`, { details: { file } });
  }
}

function isOlder(table: SettledFileTable, epoch: number, generation: number): boolean {
  return table.epoch < epoch || (table.epoch === epoch && table.generation < generation);
}
