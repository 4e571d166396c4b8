/** Redis pub/sub: PUBLISH is answered once the message is in the output buffers of all subscribers. */
import type { Consumer, ConsumerEvents, Driver, DriverSettings } from "@millrace/load";
import { PipelinePublisher } from "./pipeline-publisher.ts";
import { connectRedis, REDIS_CLIENT } from "./redis-connection.ts";

async function connectConsumer(settings: DriverSettings, events: ConsumerEvents): Promise<Consumer> {
  const client = await connectRedis(settings.endpoint, events.failed);
  await client.subscribe(settings.target, (message) => events.received(1, () => message), true);
  return {
    close: () => {
      client.destroy();
      return Promise.resolve();
    },
  };
}

export const driver: Driver = {
  client: REDIS_CLIENT,
  prepare: () => Promise.resolve(),
  connectPublisher: async (settings, events) => {
    const client = await connectRedis(settings.endpoint, events.failed);
    return new PipelinePublisher(client, settings, events, (value) => ["PUBLISH", settings.target, value]);
  },
  connectConsumer,
};
