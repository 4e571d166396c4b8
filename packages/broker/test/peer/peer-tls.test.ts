import { connect } from "node:net";
import t from "tap";
import type { PeerHost, PeerTls } from "../../src/peer/peer-address.ts";
import { certificateFiles } from "../harness/certificate.ts";
import { GuestNode, OwnerNode, until } from "../harness/linked-nodes.ts";

const HOST = "127.0.0.1";

t.test("a link over TCP", async (t) => {
  const owner = await OwnerNode.listen(t, { address: { host: HOST, port: 0 } });
  t.ok((owner.server.address as PeerHost).port > 0);
  const guest = await GuestNode.joined(t, owner);
  guest.publish(0, 0, Buffer.alloc(10));
  await until(() => guest.acks.length === 1);
});

t.test("over TLS both sides show a certificate that the other one's authority has signed", async (t) => {
  const tls = certificateFiles(t);
  const stranger = certificateFiles(t);
  const owner = await OwnerNode.listen(t, {
    address: { host: HOST, port: 0, tls },
    ringBytes: 4 * 1024 * 1024,
  });
  const { port } = owner.server.address as PeerHost;
  const guest = await GuestNode.joined(t, owner, { address: { host: HOST, port, tls } });
  const large = Buffer.alloc(400_000, 7);
  for (let sequence = 0; sequence < 50; sequence += 1) {
    await until(() => guest.publish(0, sequence, large) === 0);
  }
  await until(() => guest.acks.length === 50);
  t.ok(owner.shards[0]?.heard.batches.every(({ crc }) => crc === owner.shards[0]?.heard.batches[0]?.crc));

  const refused = async (own: PeerTls | undefined, reason: RegExp): Promise<void> => {
    const address: PeerHost = own === undefined ? { host: HOST, port } : { host: HOST, port, tls: own };
    const dialer = GuestNode.dial(t, address, { nodeId: 5 });
    await until(() => dialer.link.status().lastError !== undefined);
    t.match(dialer.link.status().lastError, reason);
    t.not(dialer.link.status().state, "up");
    await dialer.link.close();
  };
  await refused({ ...stranger, caFile: tls.caFile }, /closed|reset|alert|ECONN|authority/i);
  await refused({ ...tls, caFile: stranger.caFile }, /certificate/);
  await refused({ ...tls, serverName: "elsewhere.example" }, /altnames|does not match/i);
  await refused({ ...tls, certFile: "/nonexistent" }, /ENOENT/);
  await refused(undefined, /closed|reset|ECONN|EPIPE/i);
  const scanner = connect(port, HOST, () => scanner.write("GET / HTTP/1.1\r\n\r\n"));
  scanner.on("error", () => {});
  await new Promise((resolve) => scanner.on("close", resolve));
  t.same(
    owner.server.status().map(({ nodeId }) => nodeId),
    [2],
  );
});
