import { MillraceError } from "@millrace/protocol";
import type { Clock } from "../clock.ts";
import { methodNotAllowed, notFound, withOrigin } from "../http-reply.ts";
import { GATEWAY_LIMITS } from "../limits.ts";
import type { HttpBody, HttpExchange, HttpReply, HttpRequest } from "../listener.ts";
import { asRequestError } from "../request-errors.ts";
import type { TopicRequests } from "../topic-requests.ts";
import type { HttpPublisher } from "./http-publisher.ts";
import { PublishRequest, refusalOf } from "./publish-request.ts";
import { type ReadRecords, recordReaderFor } from "./record-request.ts";

/** Where everything but health is. */
export const API_PREFIX = "/v1/";

const RECORDS_PATH = /^\/v1\/topics\/([^/]+)\/records$/;
/** Names of header fields. */
const FIELD_NAMES = /^[\w\-, ]{0,1000}$/;

/** Answers `POST /v1/topics/{topic}/records`, and browsers that ask first whether they may. */
export class PublishRoute {
  readonly #topics: TopicRequests;
  readonly #publisher: HttpPublisher;
  readonly #clock: Clock;
  readonly #report: (error: unknown) => void;
  /** Those whose body has not come in full. */
  readonly #reading: Set<RequestBody> = new Set();
  #requests = 0;
  #bytes = 0;
  #checkPlanned = false;

  /** @param report is told of errors that the client is not told */
  constructor(
    topics: TopicRequests,
    publisher: HttpPublisher,
    clock: Clock,
    report: (error: unknown) => void,
  ) {
    this.#topics = topics;
    this.#publisher = publisher;
    this.#clock = clock;
    this.#report = report;
  }

  /** A request whose origin is allowed. */
  handle(request: HttpRequest, exchange: HttpExchange): HttpReply | HttpBody {
    const { method, path, origin } = request;
    const name = RECORDS_PATH.exec(path)?.[1];
    if (name === undefined) return withOrigin(notFound(path), origin);
    if (method === "OPTIONS") return withOrigin(preflight(request), origin);
    if (method !== "POST") return withOrigin(methodNotAllowed(method, "POST, OPTIONS"), origin);
    try {
      if (Number(request.header("content-length")) > GATEWAY_LIMITS.httpBodyBytesMax) throw tooLarge();
      if (this.#requests >= GATEWAY_LIMITS.httpRequestsMax) throw throttled("requests");
      const read = recordReaderFor(request);
      const body = new RequestBody(this, exchange, topicName(name), origin, read, this.#clock.monotonicMs());
      this.#requests += 1;
      this.#reading.add(body);
      this.#planCheck();
      return body;
    } catch (error) {
      return withOrigin(this.refusal(error), origin);
    }
  }

  /** Room for so many more bytes of bodies? */
  reserve(bytes: number): boolean {
    if (this.#bytes + bytes > GATEWAY_LIMITS.httpMemoryBytesMax) return false;
    this.#bytes += bytes;
    return true;
  }

  /** The body of a request has come, or nobody waits for it any more. */
  stopReading(body: RequestBody): void {
    this.#reading.delete(body);
  }

  /** A request is over, with so many bytes of body. */
  release(bytes: number): void {
    this.#requests -= 1;
    this.#bytes -= bytes;
  }

  /** @param answer is called once, whatever happens */
  async publish(
    topicName: string,
    read: ReadRecords,
    body: Uint8Array,
    answer: (reply: HttpReply) => void,
  ): Promise<void> {
    try {
      // The body is the listener's: it is read before anything is waited for.
      const records = read(body);
      const topic = this.#topics.known(topicName) ?? (await this.#topics.topic(topicName));
      const deadlineMs = this.#clock.monotonicMs() + GATEWAY_LIMITS.httpAckMsMax;
      this.#publisher.publish(topic, new PublishRequest(topic.name, records, deadlineMs, answer));
    } catch (error) {
      answer(this.refusal(error));
    }
  }

  refusal(error: unknown): HttpReply {
    if (!(error instanceof MillraceError)) this.#report(error);
    const reply = refusalOf(asRequestError(error));
    // The rest of a body that is too large is not read.
    return reply.status === 413 ? { ...reply, close: true } : reply;
  }

  #planCheck(): void {
    if (this.#checkPlanned) return;
    this.#checkPlanned = true;
    this.#clock.after(GATEWAY_LIMITS.httpCheckMs, () => {
      this.#checkPlanned = false;
      const before = this.#clock.monotonicMs() - GATEWAY_LIMITS.httpBodyMsMax;
      for (const body of this.#reading) {
        // Oldest first.
        if (body.startedMs > before) break;
        body.timedOut();
      }
      if (this.#reading.size > 0) this.#planCheck();
    });
  }
}

/** The body of one request while it comes, and its answer. */
class RequestBody implements HttpBody {
  readonly startedMs: number;
  readonly #route: PublishRoute;
  readonly #exchange: HttpExchange;
  readonly #topicName: string;
  readonly #origin: string;
  readonly #read: ReadRecords;
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #state: "reading" | "publishing" | "over" = "reading";

  constructor(
    route: PublishRoute,
    exchange: HttpExchange,
    topicName: string,
    origin: string,
    read: ReadRecords,
    startedMs: number,
  ) {
    this.#route = route;
    this.#exchange = exchange;
    this.#topicName = topicName;
    this.#origin = origin;
    this.#read = read;
    this.startedMs = startedMs;
  }

  onBody(bytes: Uint8Array, isLast: boolean): void {
    if (this.#state !== "reading") return;
    const { length } = bytes;
    if (this.#bytes + length > GATEWAY_LIMITS.httpBodyBytesMax) {
      this.#answer(this.#route.refusal(tooLarge()));
      return;
    }
    if (!this.#route.reserve(length)) {
      this.#answer({ ...this.#route.refusal(throttled("bytes of bodies")), close: !isLast });
      return;
    }
    this.#bytes += length;
    if (!isLast) {
      this.#chunks.push(bytes.slice());
      return;
    }
    // Most come in one piece, which need not be copied.
    const body = this.#chunks.length === 0 ? bytes : Buffer.concat([...this.#chunks, bytes]);
    this.#chunks = [];
    this.#state = "publishing";
    this.#route.stopReading(this);
    void this.#route.publish(this.#topicName, this.#read, body, (reply) => this.#answer(reply));
  }

  onAborted(): void {
    // What is being published is stored all the same: nothing could call it back.
    if (this.#state === "reading") this.#end();
  }

  timedOut(): void {
    const error = new MillraceError(
      "REQUEST_TIMEOUT",
      `the body did not come within ${GATEWAY_LIMITS.httpBodyMsMax} ms`,
    );
    this.#answer({ ...this.#route.refusal(error), close: true });
  }

  #answer(reply: HttpReply): void {
    if (this.#state === "over") return;
    this.#end();
    this.#exchange.reply(withOrigin(reply, this.#origin));
  }

  #end(): void {
    this.#state = "over";
    this.#chunks = [];
    this.#route.stopReading(this);
    this.#route.release(this.#bytes);
  }
}

function topicName(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    throw new MillraceError("INVALID_REQUEST", "the topic in the path is not percent-encoded UTF-8");
  }
}

function tooLarge(): MillraceError {
  return new MillraceError(
    "REQUEST_TOO_LARGE",
    `a body has at most ${GATEWAY_LIMITS.httpBodyBytesMax} bytes`,
  );
}

function throttled(what: string): MillraceError {
  return new MillraceError("THROTTLED", `too many ${what} wait at a time: retry later`);
}

/** Browsers ask before they send JSON to another origin. */
function preflight(request: HttpRequest): HttpReply {
  const asked = request.header("access-control-request-headers");
  return {
    status: 204,
    body: undefined,
    headers: {
      allow: "POST, OPTIONS",
      "access-control-allow-methods": "POST",
      "access-control-allow-headers": FIELD_NAMES.test(asked) ? asked : "content-type",
      "access-control-max-age": "600",
    },
  };
}
