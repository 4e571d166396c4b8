import type { DriverSettings } from "@millrace/load";
import { createClient, RESP_TYPES, type RedisClientType } from "@redis/client";

export const REDIS_CLIENT = "node-redis 6.3.1 (Node)";

export type RedisConnection = RedisClientType;

/**
 * One connection; a lost one is an error, not a reconnect. All strings of replies come as Buffers, whatever their types say:
 * as strings values would be decoded, and could not hold every byte.
 */
export async function connectRedis(
  { host, port }: DriverSettings["endpoint"],
  failed: (error: Error) => void,
): Promise<RedisConnection> {
  const client = createClient({
    socket: { host: String(host), port: Number(port), noDelay: true, reconnectStrategy: false },
    commandOptions: { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
  });
  client.on("error", failed);
  await client.connect();
  return client as unknown as RedisConnection;
}
