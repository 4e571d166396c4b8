import type { HttpBody, HttpReply } from "../../src/listener.ts";
import type { InMemoryGateway } from "./in-memory.ts";

/** One HTTP request to a gateway without network. */
export class HttpCall {
  /** Once it was answered. */
  reply: HttpReply | undefined;
  readonly #body: HttpBody | undefined;

  constructor(
    bench: InMemoryGateway,
    path: string,
    options: { method?: string; headers?: Readonly<Record<string, string>>; origin?: string } = {},
  ) {
    const { method = "POST", headers = {}, origin = "" } = options;
    const made = bench.gateway.http(
      {
        method,
        path,
        origin,
        header: (name) => headers[name] ?? "",
        eachHeader: (visit) => {
          for (const [name, value] of Object.entries(headers)) visit(name, value);
        },
      },
      {
        reply: (reply) => {
          if (this.reply !== undefined) throw new Error("answered twice");
          this.reply = reply;
        },
      },
    );
    if ("status" in made) this.reply = made;
    else this.#body = made;
  }

  /** A part of the body; as from a real listener nothing of it is readable after the call. */
  send(part: string | Uint8Array, isLast = false): this {
    const copy = Uint8Array.from(Buffer.from(part as string));
    if (this.reply === undefined) this.#body?.onBody(copy, isLast);
    copy.fill(0xee);
    return this;
  }

  abort(): void {
    this.#body?.onAborted();
  }

  get body(): Record<string, unknown> {
    return (this.reply?.body ?? {}) as Record<string, unknown>;
  }
}

/** A whole request that publishes to `topic`. */
export function post(
  bench: InMemoryGateway,
  topic: string,
  body: unknown,
  type = "application/json",
): HttpCall {
  const call = new HttpCall(bench, `/v1/topics/${topic}/records`, { headers: { "content-type": type } });
  const text = typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
  return call.send(text, true);
}
