import { randomInt } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import {
  type ClusterMap,
  ClusterNode,
  type ClusterNodeEntry,
  type HelloResult,
  type NodeMethod,
  type NodeRequests,
  nodeSocketName,
  openDataFolder,
} from "@millrace/broker/internal";
import { type Broker, createBrokerOf, listenWithUws, SYSTEM_CLOCK } from "@millrace/gateway/internal";
import type { Test } from "tap";
import type { LogLine } from "./broker-process.ts";
import { inTime } from "./waiting.ts";

interface Answer {
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: { readonly code: string; readonly message: string };
  readonly event?: string;
  readonly data?: unknown;
}

/** The control connection of a node, as its supervisor has it. */
export class NodeConnection {
  readonly events: string[] = [];
  readonly #socket: Socket;
  readonly #waiting: Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }> =
    new Map();
  #text = "";
  #lastId = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("utf8");
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: string) => this.#read(chunk));
    socket.on("close", () => {
      for (const { reject } of this.#waiting.values()) reject(new Error("the node hung up"));
    });
  }

  static async open(dataDir: string, nodeId: number): Promise<NodeConnection> {
    const socket = connect(join(dataDir, nodeSocketName(nodeId)));
    await once(socket, "connect");
    return new NodeConnection(socket);
  }

  ask<M extends NodeMethod>(
    method: M,
    params: NodeRequests[M]["params"],
  ): Promise<NodeRequests[M]["result"]> {
    this.#lastId += 1;
    const id = this.#lastId;
    const answer = new Promise<unknown>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#socket.write(`${JSON.stringify({ id, method, params })}\n`);
    return inTime(answer as Promise<NodeRequests[M]["result"]>, `the answer to ${method}`);
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(chunk: string): void {
    this.#text += chunk;
    for (let end = this.#text.indexOf("\n"); end >= 0; end = this.#text.indexOf("\n")) {
      const { id = 0, result, error, event } = JSON.parse(this.#text.slice(0, end)) as Answer;
      this.#text = this.#text.slice(end + 1);
      if (event !== undefined) this.events.push(event);
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(result);
      else waiting?.reject(Object.assign(new Error(error.message), { code: error.code }));
    }
  }
}

/** A node of a cluster, with its gateway, in this process. */
export interface PlayedNode {
  readonly nodeId: number;
  readonly broker: Broker;
  readonly node: ClusterNode;
  readonly control: NodeConnection;
  readonly hello: HelloResult;
  readonly log: readonly Pick<LogLine, "level" | "event">[];
  /** The supervisor asked it to drain. */
  readonly drained: Promise<void>;
}

/** A cluster whose nodes run in this process, and whose supervisor is the test. */
export class PlayedSupervisor {
  readonly dataDir: string;
  readonly shards: number;
  readonly nodes: Map<number, PlayedNode> = new Map();
  /** Owner and epoch of each shard. */
  readonly #placed: { nodeId: number | null; epoch: number }[];
  readonly #test: Test;
  #version = 0;

  constructor(t: Test, dataDir: string, shards: number) {
    this.#test = t;
    this.dataDir = dataDir;
    this.shards = shards;
    this.#placed = Array.from({ length: shards }, () => ({ nodeId: null, epoch: 0 }));
    openDataFolder(dataDir, shards, shards);
  }

  /** Starts nodes 0, 1, …, spreads the shards among them, and waits until all of them serve. */
  static async start(t: Test, dataDir: string, nodes: number, shards: number): Promise<PlayedSupervisor> {
    const supervisor = new PlayedSupervisor(t, dataDir, shards);
    for (let nodeId = 0; nodeId < nodes; nodeId += 1) await supervisor.startNode(nodeId);
    for (let shardId = 0; shardId < shards; shardId += 1) await supervisor.open(shardId, shardId % nodes);
    await supervisor.ready();
    return supervisor;
  }

  async startNode(nodeId: number): Promise<PlayedNode> {
    const { dataDir } = this;
    const log: { level: string; event: string }[] = [];
    let opened: ClusterNode | undefined;
    const broker = await createBrokerOf(
      {
        openNode: async (_options, logger) => {
          const run = randomInt(2 ** 32);
          opened = await ClusterNode.open({ dataDir, nodeId, run, threads: 1, logger });
          return opened;
        },
        listen: listenWithUws,
        clock: SYSTEM_CLOCK,
      },
      { dataDir, port: 0, logger: { log: (level, event, fields) => log.push({ level, event, ...fields }) } },
    );
    this.#test.teardown(() => broker.close());
    const node = opened as ClusterNode;
    let setDrained = (): void => {};
    const drained = new Promise<void>((resolve) => {
      setDrained = resolve;
    });
    const onDrain = (): void => {
      void broker.close().then(setDrained);
    };
    await node.serve({ url: broker.url, onDrain });
    const control = await NodeConnection.open(dataDir, nodeId);
    this.#test.teardown(() => control.close());
    const hello = await control.ask("hello", { protocol: 1, supervisorPid: process.pid });
    this.#version = Math.max(this.#version, hello.mapVersion);
    const played = { nodeId, broker, node, control, hello, log, drained };
    this.nodes.set(nodeId, played);
    await this.publish();
    return played;
  }

  node(nodeId: number): PlayedNode {
    const node = this.nodes.get(nodeId);
    if (node === undefined) throw new Error(`there is no node ${nodeId}`);
    return node;
  }

  url(nodeId: number): string {
    return this.node(nodeId).broker.url;
  }

  ownerOf(shardId: number): number | null {
    return this.#placed[shardId]?.nodeId ?? null;
  }

  async open(shardId: number, nodeId: number): Promise<void> {
    const { epoch } = await this.node(nodeId).control.ask("open", { shardId });
    this.#placed[shardId] = { nodeId, epoch };
    await this.publish();
  }

  /** What publish() will say of the shard. */
  place(shardId: number, nodeId: number | null, epoch: number): void {
    this.#placed[shardId] = { nodeId, epoch };
  }

  async move(shardId: number, nodeId: number): Promise<void> {
    const owner = this.ownerOf(shardId);
    if (owner !== null) await this.node(owner).control.ask("close", { shardId });
    this.#placed[shardId] = { nodeId: null, epoch: this.#placed[shardId]?.epoch ?? 0 };
    await this.publish();
    await this.open(shardId, nodeId);
  }

  /** The node ends as if it had crashed; its shards are opened elsewhere by whoever calls this. @returns its shards */
  async lose(nodeId: number): Promise<number[]> {
    const { node, control, broker } = this.node(nodeId);
    this.nodes.delete(nodeId);
    control.close();
    await node.close();
    void broker.close();
    return this.#placed.flatMap((placed, shardId) => (placed.nodeId === nodeId ? [shardId] : []));
  }

  /** To all nodes. */
  async publish(): Promise<void> {
    this.#version += 1;
    const map: ClusterMap = {
      version: this.#version,
      nodes: [...this.nodes.values()].map(({ hello, broker }): ClusterNodeEntry => {
        const { nodeId, run, pid, peer } = hello;
        return { nodeId, run, pid, peer, url: broker.url, state: "up" };
      }),
      shards: this.#placed.map((placed, shardId) => ({ shardId, ...placed })),
    };
    await Promise.all([...this.nodes.values()].map(({ control }) => control.ask("map", { map })));
  }

  async ready(): Promise<void> {
    await inTime(
      Promise.all([...this.nodes.values()].map(({ node }) => node.whenReady())),
      "all nodes to serve",
    );
  }
}
