import type { Client, ConnectOptions } from "./api/client.ts";
import { BrokerClient } from "./broker-client.ts";
import type { Platform } from "./connection/link.ts";

/** `connect` on a given platform. */
export async function connectOn(
  platform: Platform,
  url: string | URL,
  options: ConnectOptions,
): Promise<Client> {
  const client = new BrokerClient(String(url), options, platform);
  await client.open();
  return client;
}
