import { Socket } from "node:net";
import type { PeerConnection } from "./peer-connection.ts";

/** What an accepted socket and a new one know of the connection itself; not documented, and looked at with care. */
interface SocketInside {
  _handle?: { readonly useUserBuffer?: unknown; readonly readStart?: unknown } | null;
}

/**
 * Lets an accepted connection read into the link's own memory, as one that is dialed does. Node offers that for sockets that one
 * makes, not for those that a server makes: each read of those allocates 64 KiB, of which collecting garbage took several times
 * as long as copying the records into the shards' rings. So the connection gets a new socket.
 * @param accepted paused, before anything was read from it
 * @returns undefined where that cannot be done, as under TLS: read the data events of `accepted`
 */
export function withOwnReading(accepted: Socket, onread: PeerConnection["onread"]): Socket | undefined {
  const inside = accepted as unknown as SocketInside;
  const handle = inside._handle;
  if ("encrypted" in accepted || typeof handle?.useUserBuffer !== "function") return undefined;
  const options = { handle, onread, allowHalfOpen: false };
  const socket = new Socket(options);
  if ((socket as unknown as SocketInside)._handle !== handle) return undefined;
  // The server must not count it any more, and closing the old socket must not close the connection.
  inside._handle = null;
  accepted.destroy();
  return socket;
}
