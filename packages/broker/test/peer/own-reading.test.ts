import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import t from "tap";
import { withOwnReading } from "../../src/peer/own-reading.ts";
import { socketPath, until } from "../harness/linked-nodes.ts";

t.test("an accepted connection reads into memory that was made for it", async (t) => {
  const path = socketPath(t);
  const memory = Buffer.alloc(1_000);
  let end = 0;
  let accepted: Socket | undefined;
  let own: Socket | undefined;
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    accepted = socket;
    own = withOwnReading(socket, {
      buffer: () => memory.subarray(end),
      callback: (count) => {
        end += count;
        return true;
      },
    });
  });
  server.listen(path);
  await once(server, "listening");
  const peer = connect(path);
  let heard = "";
  peer.on("data", (chunk) => {
    heard += String(chunk);
  });
  peer.write("hello ");
  await until(() => own !== undefined);
  t.ok(own, "this Node lets it; if one does not, links allocate for each read");
  await until(() => end === 6);
  peer.write("world");
  await until(() => end === 11);
  t.equal(String(memory.subarray(0, end)), "hello world");
  own?.write("and back");
  await until(() => heard === "and back");
  t.ok(accepted?.destroyed);
  t.notOk(own?.destroyed);
  // The server does not wait for what it does not have any more.
  server.close();
  await once(server, "close");
  peer.end();
  await until(() => own?.destroyed === true);
});

t.test("where that cannot be done the socket stays as it is", async (t) => {
  const socket = { _handle: null, destroyed: false } as unknown as Socket;
  const onread = { buffer: () => Buffer.alloc(1), callback: () => true };
  t.equal(withOwnReading(socket, onread), undefined);
  t.equal(withOwnReading({ ...socket, encrypted: true } as unknown as Socket, onread), undefined);
});
