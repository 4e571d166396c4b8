import { type Client, type ConnectOptions, connect } from "@millrace/client";
import type { Test } from "tap";

/** A client of the SDK that is closed when the test has ended. Reconnects fast: a test has no time to spare. */
export async function connectedClient(t: Test, url: string, options: ConnectOptions = {}): Promise<Client> {
  const client = await connect(url, {
    reconnectBackoffMinMs: 10,
    reconnectBackoffMaxMs: 100,
    closeTimeoutMs: 0,
    ...options,
  });
  t.teardown(() => client.close());
  return client;
}
