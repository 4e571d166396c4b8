import { writeFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { connect } from "@millrace/client";
import { createBroker } from "@millrace/gateway";
import t from "tap";
import { BrokerProcess } from "../harness/broker-process.ts";
import { testCertificate } from "../harness/certificate.ts";
import { runCommand, runCommandProcess } from "../harness/millrace-command.ts";
import { temporaryFolder } from "../harness/temporary-folder.ts";

t.test("publish and consume over wss, by program and by command line", async (t) => {
  const { certFile, keyFile, cert } = testCertificate(t, { passphrase: "open sesame" });
  const other = testCertificate(t);
  const passphraseFile = join(temporaryFolder(t), "passphrase");
  writeFileSync(passphraseFile, "open sesame\n");
  const args = ["--tls-cert", certFile, "--tls-key", keyFile, "--tls-passphrase-file", passphraseFile];
  const broker = await BrokerProcess.start(t, { dataDir: temporaryFolder(t), args });
  t.match(broker.url, /^wss:\/\/127\.0\.0\.1:\d+$/);

  const client = await connect(broker.url, { tls: { ca: cert } });
  t.teardown(() => client.close());
  await client.topics.create("secret");
  const value = "x".repeat(300_000);
  t.match(await client.producer("secret").send({ value }), { offset: 0, durability: "fsynced" });
  for await (const record of client.subscribe("secret", { from: "earliest", untilEnd: true })) {
    t.equal(record.value, value);
  }

  const url = ["--url", broker.url];
  const listed = await runCommand(t, ["topic", "list", ...url, "--tls-ca", certFile]);
  t.match(listed, { code: 0, stdout: /secret/ });
  const distrusted = await runCommand(t, ["topic", "list", ...url, "--tls-ca", other.certFile]);
  t.match(distrusted, { code: 1, stderr: /^error CONNECT_FAILED: .*certificate/ });
  const noFile = await runCommand(t, ["topic", "list", ...url, "--tls-ca", passphraseFile]);
  t.match(noFile, { code: 1, stderr: /^error TLS_FILE_INVALID: / });

  const distrust = { code: "CONNECT_FAILED", message: /self-signed certificate/ };
  await t.rejects(connect(broker.url), distrust);
  await t.rejects(connect(broker.url, { tls: { ca: other.cert } }), distrust);
  await t.rejects(connect(broker.url.replace("wss:", "ws:")), { code: "CONNECT_FAILED" });

  const httpsUrl = `${broker.url.replace("wss:", "https:")}/readyz`;
  t.equal(await httpsStatus(httpsUrl, cert), 200);
  await t.rejects(fetch(httpsUrl.replace("https:", "http:")));
});

t.test("files that cannot work are refused at the start", async (t) => {
  const good = testCertificate(t);
  const other = testCertificate(t);
  const locked = testCertificate(t, { passphrase: "right" });
  const expired = testCertificate(t, { validTo: 2021 });
  const early = testCertificate(t, { validFrom: 2119 });
  const refusals = [
    [{ ...good, keyFile: `${good.keyFile}.none` }, "TLS_FILE_UNREADABLE", /ENOENT/],
    [{ ...good, certFile: good.keyFile }, "TLS_FILE_INVALID", /no PEM certificate/],
    [{ ...good, keyFile: good.certFile }, "TLS_FILE_INVALID", /no PEM private key/],
    [{ ...good, keyFile: other.keyFile }, "TLS_KEY_MISMATCH", /not the key of the certificate/],
    [locked, "TLS_FILE_INVALID", /give its passphrase/],
    [{ ...locked, passphrase: "wrong" }, "TLS_FILE_INVALID", /passphrase is wrong/],
    [expired, "TLS_CERTIFICATE_EXPIRED", /expired on Jan/],
    [early, "TLS_CERTIFICATE_EXPIRED", /valid from Jan/],
  ] as const;
  for (const [tls, code, message] of refusals) {
    await t.rejects(createBroker({ dataDir: join(temporaryFolder(t), "data"), port: 0, tls }), {
      code,
      message,
    });
  }
  const torn = join(temporaryFolder(t), "torn.pem");
  writeFileSync(torn, good.cert.replace(/\n.{30}/, "\n"));
  await t.rejects(createBroker({ dataDir: "unused", port: 0, tls: { ...good, certFile: torn } }), {
    code: "TLS_FILE_INVALID",
    details: { file: torn },
  });
  const half = await runCommandProcess(t, ["serve", "--port", "0", "--tls-cert", good.certFile]);
  t.match(half, { code: 2, stderr: /--tls-cert and --tls-key/ });
});

function httpsStatus(url: string, ca: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const call = request(url, { ca, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    call.on("error", reject);
    call.end();
  });
}
