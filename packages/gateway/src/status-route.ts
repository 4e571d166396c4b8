import type { GatewayPort } from "@millrace/broker/internal";
import { errorBody, errorReply, methodNotAllowed, withOrigin } from "./http-reply.ts";
import type { HttpBody, HttpExchange, HttpReply, HttpRequest } from "./listener.ts";
import { asRequestError } from "./request-errors.ts";

export const STATUS_PATH = "/v1/status";

/** Answers `GET /v1/status`: how all nodes and shards are. */
export class StatusRoute {
  readonly #port: GatewayPort;
  readonly #allows: (origin: string) => boolean;
  readonly #report: (error: unknown) => void;
  /** Requests of one moment are answered with one look. */
  #look: Promise<HttpReply> | undefined;

  /** @param report is told of errors that the client is not told */
  constructor(port: GatewayPort, allows: (origin: string) => boolean, report: (error: unknown) => void) {
    this.#port = port;
    this.#allows = allows;
    this.#report = report;
  }

  handle({ method, origin }: HttpRequest, exchange: HttpExchange): HttpReply | HttpBody {
    if (!this.#allows(origin)) {
      return {
        status: 403,
        body: errorBody("NOT_AUTHORIZED", `pages from ${origin} may not ask for the status`),
      };
    }
    if (method !== "GET") return withOrigin(methodNotAllowed(method, "GET"), origin);
    this.#look ??= this.#answer().finally(() => {
      this.#look = undefined;
    });
    void this.#look.then((reply) => exchange.reply(withOrigin(reply, origin)));
    return NO_BODY;
  }

  async #answer(): Promise<HttpReply> {
    try {
      return { status: 200, body: { ...(await this.#port.clusterStatus()) } };
    } catch (error) {
      const answer = asRequestError(error);
      if (answer.code === "INTERNAL") this.#report(error);
      return errorReply(answer);
    }
  }
}

/** Of a GET; what comes with it all the same is passed over. */
const NO_BODY: HttpBody = { onBody: () => {}, onAborted: () => {} };
