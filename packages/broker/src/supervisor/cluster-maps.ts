import type { ClusterMap, ClusterNodeEntry, ClusterShardEntry } from "../cluster/cluster-map.ts";
import type { HelloResult } from "../cluster/control-messages.ts";

/** The maps that a supervisor makes, each with a version beyond all that any node has seen. */
export class ClusterMaps {
  readonly #hellos: Map<number, HelloResult> = new Map();
  #newest: ClusterMap | undefined;
  #content = "";
  #version = 0;

  get newest(): ClusterMap | undefined {
    return this.#newest;
  }

  /** What a node last said of itself, also when it has gone since. */
  hello(nodeId: number): HelloResult | undefined {
    return this.#hellos.get(nodeId);
  }

  greeted(hello: HelloResult): void {
    this.#hellos.set(hello.nodeId, hello);
    if (hello.mapVersion <= this.#version) return;
    // It follows an earlier supervisor's map, and would not follow ours.
    this.#version = hello.mapVersion;
    this.#content = "";
  }

  /** A new map if it says something new, else undefined. */
  next(nodes: readonly ClusterNodeEntry[], shards: readonly ClusterShardEntry[]): ClusterMap | undefined {
    const content = JSON.stringify([nodes, shards]);
    if (content === this.#content) return undefined;
    this.#content = content;
    this.#version += 1;
    this.#newest = { version: this.#version, nodes, shards };
    return this.#newest;
  }
}
