import { ERROR_CODES, type ErrorName, type MillraceError } from "@millrace/protocol";
import type { HttpReply } from "./listener.ts";

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  204: "No Content",
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  429: "Too Many Requests",
  500: "Internal Server Error",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};

/** Of errors that are not 400, final and the request's own fault, or 503, retriable. */
const STATUSES: Readonly<Partial<Record<ErrorName, number>>> = {
  NOT_AUTHORIZED: 403,
  NOT_FOUND: 404,
  UNKNOWN_TOPIC: 404,
  TOPIC_DELETED: 404,
  METHOD_NOT_ALLOWED: 405,
  REQUEST_TIMEOUT: 408,
  REQUEST_TOO_LARGE: 413,
  RECORD_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  THROTTLED: 429,
  TOO_MANY_REQUESTS: 429,
  TOPIC_FULL: 429,
  INTERNAL: 500,
  JOURNAL_FAILED: 503,
  ACK_TIMEOUT: 504,
};

export function httpStatusLine(status: number): string {
  return `${status} ${REASONS[status] ?? "Unknown"}`;
}

export function httpStatusOf(code: ErrorName): number {
  return STATUSES[code] ?? (ERROR_CODES[code].retriable ? 503 : 400);
}

/** How an error looks in a body: its code, its number on the wire, and whether the same request may succeed later. */
export function errorBody(code: ErrorName, message: string): Record<string, unknown> {
  const { code: number, retriable } = ERROR_CODES[code];
  return { error: code, number, retriable, message };
}

/** The answer that reports `error`, with `more` in its body. Those to be tried again say when. */
export function errorReply(error: MillraceError, more: Readonly<Record<string, unknown>> = {}): HttpReply {
  const status = httpStatusOf(error.code);
  const { retryAfterMs } = error.details;
  const seconds = typeof retryAfterMs === "number" ? Math.max(1, Math.ceil(retryAfterMs / 1000)) : 1;
  return {
    status,
    body: { ...errorBody(error.code, error.message), ...more },
    ...(status === 429 || (status === 503 && error.retriable)
      ? { headers: { "retry-after": `${seconds}` } }
      : {}),
  };
}

export const INTERNAL_REPLY: HttpReply = {
  status: 500,
  body: errorBody("INTERNAL", "the request failed; the broker's log says why"),
};

export function notFound(path: string): HttpReply {
  return { status: 404, body: errorBody("NOT_FOUND", `no such path: ${path}`) };
}

export function methodNotAllowed(method: string, allowed: string): HttpReply {
  return {
    status: 405,
    body: errorBody("METHOD_NOT_ALLOWED", `${method} is not allowed here`),
    headers: { allow: allowed },
  };
}

/** Lets a page of that origin read the answer; who may not has been refused before. */
export function withOrigin(reply: HttpReply, origin: string): HttpReply {
  if (origin === "") return reply;
  return {
    ...reply,
    headers: {
      ...reply.headers,
      "access-control-allow-origin": origin,
      "access-control-expose-headers": "retry-after",
      vary: "origin",
    },
  };
}
