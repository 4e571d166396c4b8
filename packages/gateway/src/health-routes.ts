import { methodNotAllowed, notFound } from "./http-reply.ts";
import type { HttpReply, HttpRequest } from "./listener.ts";

/** Answers GET /healthz (the process lives) and GET /readyz (it serves everything it holds). */
export function answerHealth(
  request: HttpRequest,
  notReadyReason: () => string | undefined,
  conditions: () => readonly string[],
): HttpReply {
  const { method, path } = request;
  if (path !== "/healthz" && path !== "/readyz") return notFound(path);
  if (method !== "GET") return methodNotAllowed(method, "GET");
  if (path === "/healthz") return { status: 200, body: { status: "ok" } };
  const reason = notReadyReason();
  const held = conditions();
  const more = held.length === 0 ? {} : { conditions: held };
  return reason === undefined
    ? { status: 200, body: { status: "ready", ...more } }
    : { status: 503, body: { status: "not-ready", reason, ...more } };
}
