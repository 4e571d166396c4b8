import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { PeerAddress, PeerTls } from "./peer-address.ts";
import type { PeerConnection } from "./peer-connection.ts";

/**
 * Connects to a node. `onConnected` is called once, unless the connection is closed before.
 * @throws when a file for TLS cannot be read
 */
export function dial(address: PeerAddress, connection: PeerConnection, onConnected: () => void): void {
  const { onread } = connection;
  let socket: Socket;
  if ("path" in address) {
    socket = connect({ path: address.path, onread });
    socket.once("connect", onConnected);
  } else if (address.tls === undefined) {
    socket = connect({ host: address.host, port: address.port, onread });
    socket.once("connect", onConnected);
  } else {
    const { serverName } = address.tls;
    // Of net.connect's options, which reach the socket, the types for TLS lack this one.
    const options = { host: address.host, port: address.port, ...tlsFiles(address.tls), onread };
    socket = connectTls(serverName === undefined ? options : { ...options, servername: serverName });
    socket.once("secureConnect", onConnected);
  }
  connection.attach(socket, true);
}

/** What both sides of TLS take. @throws when a file cannot be read */
export function tlsFiles(tls: PeerTls): {
  cert: Buffer;
  key: Buffer;
  ca: Buffer;
  passphrase?: string;
  minVersion: "TLSv1.2";
} {
  return {
    cert: readFileSync(tls.certFile),
    key: readFileSync(tls.keyFile),
    ca: readFileSync(tls.caFile),
    minVersion: "TLSv1.2",
    ...(tls.passphrase === undefined ? {} : { passphrase: tls.passphrase }),
  };
}
