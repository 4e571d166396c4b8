import {
  decodeAck,
  decodeCredit,
  decodeCreditRevoke,
  decodeError,
  FRAME_TYPE,
  type FrameReader,
  MillraceError,
  type WelcomeFrame,
} from "@millrace/protocol";
import type { Connection } from "../connection/connection.ts";
import { Link, type LinkHandlers, type Platform } from "../connection/link.ts";
import { Publisher } from "../publish/publisher.ts";
import type { ConnectSettings } from "../settings.ts";
import type { Clock } from "../system-clock.ts";

/** Links at a time: more nodes than this are published to by the client's own connection. */
const LINKS_MAX = 128;
/** A node that could not be reached, or is not one of this broker, is not tried again for so long. */
const UNREACHABLE_MS = 60_000;
/** One whose connection was lost after less than this is not tried again for so long. */
const STABLE_MS = 5_000;
/** Where a broker listens that listens everywhere: reached by the name that this client has reached it by. */
const EVERYWHERE: ReadonlySet<string> = new Set(["0.0.0.0", "[::]"]);

/**
 * Connections straight to nodes that own shards, for publishes alone. Each is made when it is first asked for; until it is
 * there, and whenever it is lost, publishes go by the client's own connection, whose node forwards them.
 */
export class DirectLinks {
  readonly #settings: ConnectSettings;
  readonly #platform: Platform;
  readonly #clusterId: () => string | undefined;
  readonly #links: Map<string, DirectLink> = new Map();
  readonly #unreachableUntil: Map<string, number> = new Map();
  readonly #listeners: Set<() => void> = new Set();
  #isClosed = false;

  /** @param clusterId of the broker that the client is connected to, from its WELCOME */
  constructor(settings: ConnectSettings, platform: Platform, clusterId: () => string | undefined) {
    this.#settings = settings;
    this.#platform = platform;
    this.#clusterId = clusterId;
  }

  /** The way to a node; undefined while there is none. A listener hears of it when it opens, or is lost. */
  publisher(url: string): Publisher | undefined {
    const link = this.#links.get(url) ?? this.#open(url);
    return link?.isOpen === true ? link.publisher : undefined;
  }

  listen(listener: () => void): void {
    this.#listeners.add(listener);
  }

  unlisten(listener: () => void): void {
    this.#listeners.delete(listener);
  }

  close(): void {
    this.#isClosed = true;
    for (const link of [...this.#links.values()]) link.close();
    this.#links.clear();
  }

  #open(url: string): DirectLink | undefined {
    const { clock } = this.#platform;
    const clusterId = this.#clusterId();
    if (this.#isClosed || clusterId === undefined || this.#links.size >= LINKS_MAX) return undefined;
    if ((this.#unreachableUntil.get(url) ?? 0) > clock.now()) return undefined;
    const settings = {
      ...this.#settings,
      url: reachableUrl(url, this.#settings.url),
      reconnect: false,
      retryFirstConnect: false,
    };
    const link = new DirectLink(settings, this.#platform, clusterId, {
      onChange: () => this.#tell(),
      onEnded: (openMs) => {
        if (this.#links.get(url) === link) this.#links.delete(url);
        if (openMs >= STABLE_MS) this.#unreachableUntil.delete(url);
        else this.#unreachableUntil.set(url, clock.now() + (openMs > 0 ? STABLE_MS : UNREACHABLE_MS));
        this.#tell();
      },
    });
    this.#links.set(url, link);
    link.open();
    return link;
  }

  #tell(): void {
    if (this.#isClosed) return;
    for (const listener of [...this.#listeners]) listener();
  }
}

/** What the data of the server belong to, as it says. */
export function clusterIdOf({ extensions }: WelcomeFrame): string | undefined {
  const { clusterId } = extensions;
  return typeof clusterId === "string" && clusterId.length > 0 ? clusterId : undefined;
}

interface DirectLinkEvents {
  /** It is open now, or takes nothing new any more. */
  onChange(): void;
  /** After how many ms; 0: it was never open. */
  onEnded(openMs: number): void;
}

function reachableUrl(url: string, own: string): string {
  const { hostname } = new URL(url);
  if (!EVERYWHERE.has(hostname)) return url;
  const reachable = new URL(url);
  reachable.hostname = new URL(own).hostname;
  return reachable.href;
}

/** One session that does nothing but publish. It ends with its connection: whoever wants it again asks for another one. */
class DirectLink implements LinkHandlers {
  readonly publisher: Publisher;
  readonly #link: Link;
  readonly #events: DirectLinkEvents;
  readonly #clock: Clock;
  readonly #clusterId: string;
  #connection: Connection | undefined;
  #openedAt: number | undefined;
  #isEnded = false;
  isOpen = false;

  constructor(settings: ConnectSettings, platform: Platform, clusterId: string, events: DirectLinkEvents) {
    this.#events = events;
    this.#clock = platform.clock;
    this.#clusterId = clusterId;
    this.#link = new Link(settings, platform, this);
    this.publisher = new Publisher(
      () => this.#link.checkDrained(),
      () =>
        this.#link.drop(
          new MillraceError("CONNECTION_LOST", "a shard was restarted: the session begins anew"),
        ),
    );
  }

  open(): void {
    // What went wrong is told to onClosed.
    this.#link.open().catch(() => {});
  }

  close(): void {
    this.#isEnded = true;
    this.#link.close();
  }

  onState(): void {}

  onConnected(connection: Connection, welcome: WelcomeFrame): void {
    if (clusterIdOf(welcome) !== this.#clusterId) {
      // A port may be another broker's by now, whose topics have the same numbers: what it acknowledged would be lost.
      this.#link.drop(new MillraceError("CONNECTION_LOST", "this is not a node of the same broker"));
      return;
    }
    this.#connection = connection;
    this.isOpen = true;
    this.#openedAt = this.#clock.now();
    this.publisher.onConnected(connection, welcome);
    this.#events.onChange();
  }

  onFrame(type: number, reader: FrameReader): void {
    if (type === FRAME_TYPE.ACK) this.publisher.onAck(decodeAck(reader));
    else if (type === FRAME_TYPE.CREDIT) this.publisher.onCredit(decodeCredit(reader).publishCreditLimit);
    else if (type === FRAME_TYPE.CREDIT_REVOKE) {
      this.publisher.onCreditRevoke(decodeCreditRevoke(reader).publishCreditLimit);
    } else if (type === FRAME_TYPE.ERROR) {
      const error = MillraceError.fromWire(decodeError(reader));
      if (!this.publisher.onError(error)) this.#connection?.setSessionError(error);
    }
    this.#link.checkDrained();
  }

  /** Its partitions leave once what is under way is answered. */
  onDraining(): void {
    this.isOpen = false;
    this.publisher.onDraining();
    this.#events.onChange();
  }

  isQuiet(): boolean {
    return this.publisher.unanswered === 0;
  }

  onDisconnected(): void {}

  onClosed(): void {
    this.#connection = undefined;
    this.isOpen = false;
    // Whatever has no answer goes again, by the way that its producer chooses now.
    this.publisher.onDisconnected();
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#events.onEnded(this.#openedAt === undefined ? 0 : Math.max(1, this.#clock.now() - this.#openedAt));
  }
}
