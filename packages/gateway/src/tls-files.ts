import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { type ErrorName, MillraceError } from "@millrace/protocol";

/** Files of the certificate that a listener shows; with them it speaks TLS alone. */
export interface TlsFiles {
  /** PEM: the broker's certificate, then those between it and the authority that clients trust. */
  readonly certFile: string;
  /** PEM: its private key. */
  readonly keyFile: string;
  /** Of the key, where it is encrypted. */
  readonly passphrase?: string | undefined;
  /** Instead of `passphrase`: a file whose first line it is. So it stands in no settings that are written or handed on. */
  readonly passphraseFile?: string | undefined;
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * Checks what uWebSockets.js would refuse without a reason, and what it would not notice: an expired certificate.
 * @param nowMs ms since the epoch
 * @throws MillraceError TLS_FILE_UNREADABLE, TLS_FILE_INVALID, TLS_KEY_MISMATCH or TLS_CERTIFICATE_EXPIRED
 */
export function checkTlsFiles(files: TlsFiles, nowMs: number): void {
  const { certFile, keyFile } = files;
  const passphrase = passphraseOf(files);
  const certPem = readText("certificate", certFile, "latin1");
  const keyPem = readText("key", keyFile, "latin1");
  const chain = (certPem.match(CERTIFICATE) ?? []).map((pem) => certificateOf(pem, certFile));
  const leaf = chain[0];
  if (leaf === undefined) throw invalid(certFile, "it holds no PEM certificate");
  const key = keyOf(keyPem, keyFile, passphrase);
  if (!leaf.checkPrivateKey(key)) {
    throw refusal("TLS_KEY_MISMATCH", keyFile, `is not the key of the certificate in ${certFile}`);
  }
  for (const certificate of chain) checkDates(certificate, certFile, nowMs);
  try {
    // What remains, such as a key that is too short for what OpenSSL allows.
    createSecureContext({
      cert: certPem,
      key: keyPem,
      ...(passphrase === undefined ? {} : { passphrase }),
    });
  } catch (cause) {
    throw invalid(certFile, `OpenSSL refuses it: ${(cause as Error).message}`, cause);
  }
}

/**
 * The passphrase, read from its file where that is named.
 * @throws MillraceError TLS_FILE_UNREADABLE
 */
export function passphraseOf({ passphrase, passphraseFile }: TlsFiles): string | undefined {
  if (passphraseFile === undefined) return passphrase;
  return readText("passphrase", passphraseFile, "utf8").split(/\r?\n/, 1)[0];
}

function readText(what: string, file: string, encoding: "latin1" | "utf8"): string {
  try {
    return readFileSync(file, encoding);
  } catch (cause) {
    const { code = "" } = cause as NodeJS.ErrnoException;
    throw new MillraceError("TLS_FILE_UNREADABLE", `cannot read the ${what} file ${file}: ${code}`, {
      cause,
      details: { file, errno: code },
    });
  }
}

function certificateOf(pem: string, file: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw invalid(file, "it holds a certificate that cannot be read", cause);
  }
}

function keyOf(pem: string, file: string, passphrase: string | undefined): KeyObject {
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem)) throw invalid(file, "it holds no PEM private key");
  const isEncrypted = /-----BEGIN ENCRYPTED |^Proc-Type: 4,ENCRYPTED/m.test(pem);
  if (isEncrypted && passphrase === undefined)
    throw invalid(file, "the key is encrypted: give its passphrase");
  try {
    return createPrivateKey({ key: pem, ...(passphrase === undefined ? {} : { passphrase }) });
  } catch (cause) {
    throw invalid(file, isEncrypted ? "the passphrase is wrong" : "the private key cannot be read", cause);
  }
}

function checkDates(certificate: X509Certificate, file: string, nowMs: number): void {
  const { validFrom, validTo, subject } = certificate;
  if (nowMs > Date.parse(validTo)) {
    throw refusal(
      "TLS_CERTIFICATE_EXPIRED",
      file,
      `holds a certificate (${subject}) that expired on ${validTo}`,
    );
  }
  if (nowMs < Date.parse(validFrom)) {
    throw refusal(
      "TLS_CERTIFICATE_EXPIRED",
      file,
      `holds a certificate (${subject}) that is valid from ${validFrom} only`,
    );
  }
}

function invalid(file: string, why: string, cause?: unknown): MillraceError {
  return refusal("TLS_FILE_INVALID", file, `cannot be used: ${why}`, cause);
}

function refusal(code: ErrorName, file: string, message: string, cause?: unknown): MillraceError {
  return new MillraceError(code, `${file} ${message}`, {
    ...(cause === undefined ? {} : { cause }),
    details: { file },
  });
}
