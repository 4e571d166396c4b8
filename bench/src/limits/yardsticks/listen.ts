import uws, { type TemplatedApp } from "uWebSockets.js";

/** Serves what `routes` adds on a free loopback port and resolves with its WebSocket URL. */
export function listen(routes: (app: TemplatedApp) => void): Promise<string> {
  const app = uws.App();
  routes(app);
  return new Promise((resolve, reject) => {
    app.listen("127.0.0.1", 0, (socket) => {
      if (socket) resolve(`ws://127.0.0.1:${uws.us_socket_local_port(socket)}`);
      else reject(new Error("cannot listen on a loopback port"));
    });
  });
}
