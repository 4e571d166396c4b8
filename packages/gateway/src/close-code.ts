import type { ErrorName } from "@millrace/protocol";

/** WebSocket close codes (RFC 6455 section 7.4.1) by the error that ends a session. */
const CODES: Readonly<Partial<Record<ErrorName, number>>> = {
  SERVER_DRAINING: 1001,
  TEXT_FRAME: 1003,
  FRAME_TOO_LARGE: 1009,
  INTERNAL: 1011,
  TOO_MANY_SESSIONS: 1013,
  CREDIT_EXCEEDED: 1008,
  HELLO_TIMEOUT: 1008,
  SESSION_TIMEOUT: 1008,
  NOT_AUTHORIZED: 1008,
  UNSUPPORTED_FEATURE: 1008,
  UNSUPPORTED_VERSION: 1008,
  TOO_MANY_REQUESTS: 1008,
};

const PROTOCOL_ERROR = 1002;

export function closeCodeOf(error: ErrorName): number {
  return CODES[error] ?? PROTOCOL_ERROR;
}
