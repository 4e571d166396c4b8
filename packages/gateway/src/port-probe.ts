import { createServer } from "node:net";
import { type ErrorName, MillraceError } from "@millrace/protocol";
import type { ListenOptions } from "./listener.ts";

const NAMES: Readonly<Record<string, ErrorName>> = {
  EADDRINUSE: "PORT_IN_USE",
  EACCES: "PORT_FORBIDDEN",
  EPERM: "PORT_FORBIDDEN",
};

const WHY: Readonly<Partial<Record<ErrorName, string>>> = {
  PORT_IN_USE: "another program listens there",
  PORT_FORBIDDEN: "this user may not listen there",
  ADDRESS_NOT_AVAILABLE: "this machine has no such address",
};

/**
 * Listens and closes again with node:net, to learn why a listen of uWebSockets.js failed: that says only `false`.
 * @throws MillraceError PORT_IN_USE, PORT_FORBIDDEN or ADDRESS_NOT_AVAILABLE; returns if the port is free by now.
 */
export async function probePort(options: ListenOptions): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const code = NAMES[cause.code ?? ""] ?? "ADDRESS_NOT_AVAILABLE";
      reject(
        new MillraceError(code, `cannot listen on ${options.host} port ${options.port}: ${WHY[code]}`, {
          cause,
          details: { host: options.host, port: options.port, errno: cause.code ?? "" },
        }),
      );
    });
    server.listen({ host: options.host, port: options.port, exclusive: true }, () => {
      server.close(() => resolve());
    });
  });
}
