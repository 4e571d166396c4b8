import type { ConnectTransport, Transport, TransportHandlers, TransportOptions } from "./transport.ts";

/** What is used of the browser's own WebSocket (also in workers, Deno, Bun and Node 22). */
interface BrowserSocket {
  binaryType: string;
  onopen: (() => void) | null;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null;
  onerror: (() => void) | null;
  readonly readyState: number;
  send(data: Uint8Array): void;
  close(code?: number, reason?: string): void;
}

const OPEN = 1;

/** The transport of browsers: the global WebSocket. */
export const connectBrowserTransport: ConnectTransport = (
  url: string,
  _options: TransportOptions,
  handlers: TransportHandlers,
): Transport => {
  const { WebSocket } = globalThis as unknown as { WebSocket: new (url: string) => BrowserSocket };
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  let closed = false;
  const close = (code: number, reason: string, error: Error | undefined): void => {
    if (closed) return;
    closed = true;
    socket.onopen = socket.onmessage = socket.onclose = null;
    handlers.onClose(code, reason, error);
  };
  socket.onopen = () => handlers.onOpen();
  socket.onmessage = ({ data }) => {
    if (data instanceof ArrayBuffer) handlers.onMessage(new Uint8Array(data));
    else handlers.onText();
  };
  // A browser says nothing about why; the close event that follows has a code at least.
  socket.onerror = () => {};
  socket.onclose = ({ code, reason }) => close(code, reason, undefined);
  return {
    send: (bytes) => {
      if (socket.readyState === OPEN) socket.send(bytes);
    },
    close: (code, reason) => socket.close(code, reason),
    terminate: () => {
      // A browser's close() waits for the peer for as long as it likes; a dead peer never answers.
      socket.close();
      queueMicrotask(() => close(1006, "terminated", undefined));
    },
  };
};
