import { chmodSync, renameSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { BROKER_LIMITS } from "../limits.ts";
import type { Logger } from "../logger.ts";
import type { GuestRoutes } from "../node/outbound-reader.ts";
import { SYSTEM_CLOCK } from "../system-clock.ts";
import { tlsFiles } from "./dial.ts";
import { Guest } from "./guest.ts";
import { GuestLedger } from "./guest-ledger.ts";
import type { GuestShards } from "./guest-shards.ts";
import { type Hello, readHello, refuse, writeWelcome } from "./handshake.ts";
import type { LinkStatus } from "./link-status.ts";
import { withOwnReading } from "./own-reading.ts";
import type { PeerAddress } from "./peer-address.ts";
import { PeerConnection } from "./peer-connection.ts";
import { RING_WINDOWS } from "./ring-windows.ts";
import type { RpcHandlers } from "./rpc-handlers.ts";

/** Whoever may connect to the socket may use the shards. */
const SOCKET_MODE = 0o600;

export interface PeerServerOptions {
  /** Port 0: any that is free. */
  readonly address: PeerAddress;
  readonly clusterId: string;
  /** Of this node. */
  readonly nodeId: number;
  readonly run: number;
  readonly shards: GuestShards;
  readonly rpc: RpcHandlers;
  readonly logger: Logger;
  /** Why that node is not taken as a guest, for its log; undefined: it is. Every one is, by default. */
  readonly refuses?: (nodeId: number, run: number) => string | undefined;
  /** A guest has come, or is gone. Pushes reach it from its coming on. */
  readonly onGuest?: (nodeId: number, run: number, isUp: boolean) => void;
}

/**
 * Takes the links of other nodes' gateways to the shards of this one. Main thread; what it is handed by a stranger ends the
 * stranger's connection, and nothing else.
 */
export class PeerServer {
  /** Where it listens. */
  readonly address: PeerAddress;
  /** For the readers of this node's outbound rings. */
  readonly routes: GuestRoutes;
  readonly #options: PeerServerOptions;
  readonly #server: Server;
  readonly #ledger: GuestLedger;
  /** Index = gateway. */
  readonly #guests: (Guest | undefined)[] = [];
  /** Connections that have not said who they are. */
  readonly #strangers: Set<PeerConnection> = new Set();
  /** Shards whose guests go on in the next turn, when the own gateway has had its part. */
  readonly #resuming: Set<number> = new Set();
  #firstServed = 0;
  #strangerLoggedAtMs = Number.NEGATIVE_INFINITY;
  #strangersUnlogged = 0;

  private constructor(options: PeerServerOptions, server: Server, address: PeerAddress) {
    this.#options = options;
    this.#server = server;
    this.address = address;
    this.#ledger = new GuestLedger(options.shards);
    this.routes = {
      forward: (gateway, shardId, bytes, index, length) => {
        this.#guests[gateway]?.forward(shardId, bytes, index, length);
      },
      broadcast: (shardId, bytes, index, length) => {
        for (const guest of this.#guests) guest?.broadcast(shardId, bytes, index, length);
      },
    };
  }

  /** @throws what listening fails with, such as EADDRINUSE; what reading the files for TLS fails with */
  static async listen(options: PeerServerOptions): Promise<PeerServer> {
    const { address } = options;
    let accept: (socket: Socket) => void = (socket) => socket.destroy();
    const server = makeServer(address, (socket) => accept(socket), options.logger);
    await listen(server, address);
    const peerServer = new PeerServer(options, server, boundAddress(server, address));
    accept = (socket) => peerServer.#accept(socket);
    server.on("error", (error) =>
      options.logger.log("error", "peer-listen-failed", { error: error.message }),
    );
    return peerServer;
  }

  /** Tells every guest, each in the same order. */
  push(event: string, payload: unknown): void {
    for (const guest of this.#guests) guest?.push(event, payload);
  }

  /** The shard is being closed: its lanes give it nothing more, and carry what it still says until laneDown. */
  laneClosing(shardId: number): void {
    for (const guest of this.#guests) guest?.laneClosing(shardId);
  }

  /** This opening of the shard ends: its lanes do. Call it before `way` is another one or none. */
  laneDown(shardId: number): void {
    for (const guest of this.#guests) guest?.laneDown(shardId);
  }

  /** The shard's way said that it has space (takeSpace): what waits for it goes on. Before the own gateway is told. */
  onSpace(shardId: number): void {
    const { length } = this.#guests;
    this.#firstServed += 1;
    let hasMore = false;
    for (let i = 0; i < length; i += 1) {
      // Another one first each time: the last may find no room left.
      const guest = this.#guests[(this.#firstServed + i) % length];
      if (guest?.onSpace(shardId) === true) hasMore = true;
    }
    if (!hasMore || this.#resuming.has(shardId)) return;
    this.#resuming.add(shardId);
    setImmediate(() => {
      this.#resuming.delete(shardId);
      this.onSpace(shardId);
    });
  }

  status(): LinkStatus[] {
    return this.#guests.flatMap((guest) => guest?.status() ?? []);
  }

  /** Ends all links. The shards are not told: they are ending too, or whoever closes this tells them. */
  async close(): Promise<void> {
    this.#ledger.close();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const stranger of [...this.#strangers]) stranger.close("this node is closing");
    for (const guest of [...this.#guests]) guest?.end("this node is closing");
    if ("path" in this.address) rmSync(this.address.path, { force: true });
    await closed;
  }

  #accept(socket: Socket): void {
    let guest: Guest | undefined;
    const connection: PeerConnection = new PeerConnection(SYSTEM_CLOCK, false, {
      onRecord: (type, words, bytes, index, length) => {
        if (guest === undefined) {
          guest = this.#admit(connection, readHello(type, words, bytes, index, length));
          if (guest !== undefined) this.#options.onGuest?.(guest.hello.nodeId, guest.hello.run, true);
        } else {
          guest.onRecord(type, words, bytes, index, length);
        }
      },
      onReadEnd: () => guest?.onReadEnd(),
      onWritten: () => guest?.onWritten(),
      onClosed: (reason, error) => this.#onClosed(connection, guest, reason, error),
    });
    const own = withOwnReading(socket, connection.onread);
    connection.attach(own ?? socket, own !== undefined);
    connection.open();
    if (own === undefined) socket.resume();
    this.#strangers.add(connection);
    if (this.#strangers.size > BROKER_LIMITS.peerHandshakesMax) {
      connection.close(`too many connections that say nothing: connections=${this.#strangers.size}`);
    }
  }

  /** @returns undefined when it was refused */
  #admit(connection: PeerConnection, hello: Hello): Guest | undefined {
    const { clusterId, nodeId, run, shards, rpc, logger } = this.#options;
    const before = this.#guests[hello.nodeId];
    const refusal = this.#refusal(hello, before);
    if (refusal !== undefined) {
      refuse(connection, refusal);
      return undefined;
    }
    // Of two connections the newer one counts: the other side knows nothing of the older one any more.
    before?.close("the node has connected anew");
    this.#strangers.delete(connection);
    connection.established();
    writeWelcome(connection, { clusterId, nodeId, run, windows: RING_WINDOWS });
    const guest = new Guest(connection, { hello, shards, rpc, logger, ledger: this.#ledger });
    this.#guests[hello.nodeId] = guest;
    logger.log("info", "peer-guest-up", { nodeId: hello.nodeId, run: hello.run, release: hello.release });
    return guest;
  }

  #refusal(hello: Hello, before: Guest | undefined): string | undefined {
    const { clusterId, nodeId, refuses } = this.#options;
    if (hello.clusterId !== clusterId) return `this is another cluster: clusterId=${clusterId}`;
    if (hello.toNodeId !== nodeId) return `this is another node: nodeId=${nodeId} meant=${hello.toNodeId}`;
    if (hello.nodeId === nodeId) return `that is this node's own number: nodeId=${nodeId}`;
    if (before !== undefined && before.hello.run === hello.run && before.hello.attempt > hello.attempt) {
      return `a newer connection of this run is up: attempt=${before.hello.attempt}`;
    }
    return refuses?.(hello.nodeId, hello.run);
  }

  #onClosed(
    connection: PeerConnection,
    guest: Guest | undefined,
    reason: string,
    error: Error | undefined,
  ): void {
    const { logger, onGuest } = this.#options;
    if (error !== undefined) logger.log("error", "peer-link-failed", { reason, stack: error.stack });
    if (guest === undefined) {
      this.#strangers.delete(connection);
      if (error === undefined) this.#logStranger(reason);
      return;
    }
    const { nodeId, run } = guest.hello;
    if (this.#guests[nodeId] === guest) this.#guests[nodeId] = undefined;
    guest.onClosed();
    logger.log("info", "peer-guest-down", { nodeId, run, reason });
    onGuest?.(nodeId, run, false);
  }

  /** Seldom: a stranger must not fill the log. */
  #logStranger(reason: string): void {
    const nowMs = SYSTEM_CLOCK.monotonicMs();
    if (nowMs - this.#strangerLoggedAtMs < BROKER_LIMITS.peerStrangerLogMs) {
      this.#strangersUnlogged += 1;
      return;
    }
    this.#strangerLoggedAtMs = nowMs;
    const unlogged = this.#strangersUnlogged;
    this.#strangersUnlogged = 0;
    this.#options.logger.log("warn", "peer-connection-refused", { reason, unlogged });
  }
}

function makeServer(address: PeerAddress, accept: (socket: Socket) => void, logger: Logger): Server {
  if ("path" in address || address.tls === undefined) return createServer({ pauseOnConnect: true }, accept);
  const server = createTlsServer(
    {
      ...tlsFiles(address.tls),
      requestCert: true,
      rejectUnauthorized: true,
      pauseOnConnect: true,
      handshakeTimeout: BROKER_LIMITS.peerHandshakeMs,
    },
    accept,
  );
  server.on("tlsClientError", (error) => {
    logger.log("warn", "peer-connection-refused", { reason: error.message });
  });
  return server;
}

function boundAddress(server: Server, address: PeerAddress): PeerAddress {
  return "path" in address ? address : { ...address, port: (server.address() as AddressInfo).port };
}

/** The socket appears under its name when it listens and nobody else can connect; one that a killed process left is replaced. */
async function listen(server: Server, address: PeerAddress): Promise<void> {
  if (!("path" in address)) {
    await listenOnce(server, { host: address.host, port: address.port });
    return;
  }
  const { path } = address;
  if (await isAlive(path)) {
    throw Object.assign(new Error(`somebody listens there already: ${path}`), { code: "EADDRINUSE" });
  }
  const hidden = `${path}.tmp`;
  rmSync(hidden, { force: true });
  await listenOnce(server, { path: hidden });
  chmodSync(hidden, SOCKET_MODE);
  renameSync(hidden, path);
}

function listenOnce(
  server: Server,
  options: { path: string } | { host: string; port: number },
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(options, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** Whether somebody listens on the socket. */
function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      resolve(error.code !== "ECONNREFUSED" && error.code !== "ENOENT");
    });
  });
}
