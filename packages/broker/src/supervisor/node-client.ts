import { connect, type Socket } from "node:net";
import { LineChannel, objectOfLine } from "../backup/line-channel.ts";
import {
  type HelloResult,
  NODE_CONTROL_PROTOCOL,
  type NodeEventData,
  type NodeEventName,
  type NodeMethod,
  type NodeRequests,
} from "../cluster/control-messages.ts";

/** A line may take for ever to come: whoever waits for one has deadlines of its own. */
const FOREVER_MS = 0x7fff_ffff;

/** A node refused, or failed to do, what it was asked. `code` is one of MillraceError's or NodeControlErrorCode's. */
export class NodeRefusal extends Error {
  override readonly name: string = "NodeRefusal";
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** The connection ended before the answer came: what became of the request is not known. */
export class NodeConnectionLost extends Error {
  override readonly name: string = "NodeConnectionLost";
}

export interface NodeClientEvents {
  /** Anything came: it lives. */
  onLine(): void;
  onEvent(event: NodeEventName, data: NodeEventData[NodeEventName]): void;
  /** The connection is gone; once, after all requests were rejected. */
  onClose(): void;
}

interface Waiting {
  resolve(result: object): void;
  reject(error: Error): void;
}

/** One connection to a node's control socket; requests run side by side. */
export class NodeClient {
  readonly #channel: LineChannel;
  readonly #events: NodeClientEvents;
  readonly #waiting: Map<number, Waiting> = new Map();
  #nextId = 1;
  #isClosed = false;

  private constructor(socket: Socket, lineBytesMax: number, events: NodeClientEvents) {
    this.#channel = new LineChannel(socket, lineBytesMax);
    this.#events = events;
    void this.#read();
  }

  /** @throws the system's error, such as ECONNREFUSED and ENOENT */
  static connect(path: string, lineBytesMax: number, events: NodeClientEvents): Promise<NodeClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new NodeClient(socket, lineBytesMax, events));
      });
    });
  }

  hello(supervisorPid: number): Promise<HelloResult> {
    return this.request("hello", { protocol: NODE_CONTROL_PROTOCOL, supervisorPid });
  }

  /** @throws NodeRefusal, NodeConnectionLost */
  request<M extends NodeMethod>(
    method: M,
    params: NodeRequests[M]["params"],
  ): Promise<NodeRequests[M]["result"]> {
    return new Promise((resolve, reject) => {
      const id = this.#nextId;
      this.#nextId += 1;
      if (this.#isClosed || !this.#channel.send({ id, method, params })) {
        reject(new NodeConnectionLost(`the node's connection is closed: method=${method}`));
        return;
      }
      this.#waiting.set(id, { resolve: resolve as (result: object) => void, reject });
    });
  }

  close(): void {
    this.#channel.destroy();
  }

  async #read(): Promise<void> {
    let failure: unknown;
    try {
      for (;;) {
        const line = await this.#channel.next(FOREVER_MS);
        if (line === undefined) break;
        this.#take(objectOfLine(line));
      }
    } catch (error) {
      failure = error;
    }
    this.#isClosed = true;
    this.#channel.destroy();
    const lost = new NodeConnectionLost("the node's connection ended", { cause: failure });
    for (const { reject } of this.#waiting.values()) reject(lost);
    this.#waiting.clear();
    this.#events.onClose();
  }

  #take(line: Readonly<Record<string, unknown>>): void {
    this.#events.onLine();
    if (typeof line.event === "string") {
      this.#events.onEvent(line.event as NodeEventName, line.data as NodeEventData[NodeEventName]);
      return;
    }
    const waiting = this.#waiting.get(line.id as number);
    if (waiting === undefined) return;
    this.#waiting.delete(line.id as number);
    if (line.error === undefined) {
      waiting.resolve((line.result ?? {}) as object);
      return;
    }
    const { code, message } = line.error as { readonly code?: unknown; readonly message?: unknown };
    waiting.reject(new NodeRefusal(String(code), String(message)));
  }
}
