import { Connection } from "rabbitmq-stream-js-client/dist/connection.js";

interface Negotiating {
  exchangeCommandVersions(): Promise<void>;
}

/**
 * The client asks each broker which versions of which commands it knows, a command that itself came with RabbitMQ 3.11:
 * Debian's 3.10 ends the connection instead of answering. Everything else that a driver needs is in both, so this leaves the
 * question out. Without the answer the client uses the first version of each command.
 */
export function supportRabbitMq310(): void {
  const prototype = Connection.prototype as unknown as Negotiating;
  prototype.exchangeCommandVersions = () => Promise.resolve();
}
