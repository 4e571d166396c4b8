import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Test } from "tap";

/**
 * A TCP port that stays the same while the broker behind it comes and goes on others; connections through it can be
 * cut, or made to lose what the broker sends.
 */
export class TcpRelay {
  readonly #server: Server;
  readonly #sockets: Set<Socket> = new Set();
  #targetPort: number;
  #swallowsAnswers = false;
  #onSwallowed: (() => void) | undefined;

  private constructor(server: Server, targetPort: number) {
    this.#server = server;
    this.#targetPort = targetPort;
    server.on("connection", (socket: Socket) => this.#relay(socket));
  }

  static async start(t: Test, targetPort: number): Promise<TcpRelay> {
    const server = createServer({ noDelay: true });
    const relay = new TcpRelay(server, targetPort);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    t.teardown(async () => {
      relay.cut();
      server.close();
      await once(server, "close");
    });
    return relay;
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Connections from now on go there. */
  set targetPort(port: number) {
    this.#targetPort = port;
  }

  /** Ends all connections, in both directions, at once. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /**
   * From now on nothing that the broker sends reaches anybody, until the next cut. Resolves when the broker has sent
   * something: it has done what it was asked for, and the client does not know.
   */
  swallowAnswers(): Promise<void> {
    this.#swallowsAnswers = true;
    return new Promise((resolve) => {
      this.#onSwallowed = resolve;
    });
  }

  /** Ends all connections, and lets answers pass on the next ones. */
  cutAndPass(): void {
    this.cut();
    this.#swallowsAnswers = false;
  }

  #relay(client: Socket): void {
    const broker = connect({ host: "127.0.0.1", port: this.#targetPort, noDelay: true });
    const pair = [client, broker] as const;
    for (const socket of pair) {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        this.#sockets.delete(socket);
        for (const other of pair) other.destroy();
      });
    }
    client.pipe(broker, { end: false });
    broker.on("data", (chunk) => {
      if (this.#swallowsAnswers) {
        this.#onSwallowed?.();
        return;
      }
      if (!client.write(chunk)) {
        broker.pause();
        client.once("drain", () => broker.resume());
      }
    });
  }
}
