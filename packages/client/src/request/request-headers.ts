/** Headers of requests and replies, by the names that users of AMQP know. */
export const REQUEST_HEADER = {
  /** The topic that the reply is published to. */
  REPLY_TO: "reply-to",
  /** Given back with the reply. */
  CORRELATION_ID: "correlation-id",
  /** ms after which nobody waits for the reply any more. */
  EXPIRATION: "expiration",
  /** Of a reply: what the handler threw. */
  ERROR: "error",
} as const;

/** The subscription that the responders of a topic share. */
export const RESPONDERS = "responders";
