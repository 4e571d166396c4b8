import type { DriverSettings } from "@millrace/load";
import type { NatsConnection } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";

export const NATS_CLIENT = "nats.js 3.4.0 (Node)";
const CONNECT_TIMEOUT_MS = 20_000;

/** One connection with the settings that cost least; a lost one is an error, not a reconnect. */
export function connectNats(endpoint: DriverSettings["endpoint"]): Promise<NatsConnection> {
  return connect({
    servers: `${endpoint.host}:${endpoint.port}`,
    reconnect: false,
    // A stack trace for each request costs more than the request.
    noAsyncTraces: true,
    timeout: CONNECT_TIMEOUT_MS,
    pingInterval: 60_000,
  });
}

/** Calls `failed` if the connection ends by itself. */
export function watchConnection(connection: NatsConnection, failed: (error: Error) => void): () => void {
  let closing = false;
  void connection.closed().then((error) => {
    if (!closing) failed(error instanceof Error ? error : new Error("nats: the connection was closed"));
  });
  return () => {
    closing = true;
  };
}
