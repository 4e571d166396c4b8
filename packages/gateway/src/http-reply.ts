import type { HttpReply } from "./listener.ts";

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  500: "Internal Server Error",
  503: "Service Unavailable",
};

export function httpStatusLine(status: number): string {
  return `${status} ${REASONS[status] ?? "Unknown"}`;
}

export const INTERNAL_REPLY: HttpReply = {
  status: 500,
  body: { error: "INTERNAL", message: "the request failed; the broker's log says why" },
};

export function notFound(path: string): HttpReply {
  return { status: 404, body: { error: "NOT_FOUND", message: `no such path: ${path}` } };
}

export function methodNotAllowed(method: string, allowed: string): HttpReply {
  return {
    status: 405,
    body: { error: "METHOD_NOT_ALLOWED", message: `${method} is not allowed here` },
    headers: { allow: allowed },
  };
}
