import { join } from "node:path";
import type { ChildProcesses } from "@millrace/load/internal";

export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
}

/**
 * A certificate that signs itself, for 127.0.0.1, made by the `openssl` program.
 * @throws Error where that is not installed
 */
export async function makeCertificate(children: ChildProcesses, folder: string): Promise<Certificate> {
  const certFile = join(folder, "cert.pem");
  const keyFile = join(folder, "key.pem");
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", keyFile];
  const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"];
  const openssl = children.spawn(
    "openssl",
    ["req", "-x509", "-days", "3650", ...key, ...names, "-out", certFile],
    process.env,
  );
  const code = await new Promise<number | null | Error>((resolve) => {
    openssl.once("error", resolve);
    openssl.once("exit", resolve);
  });
  if (code !== 0) throw new Error(`TLS needs the program openssl to make a certificate: ${code}`);
  return { certFile, keyFile };
}
