import { get as getHttp } from "node:http";
import { get as getHttps } from "node:https";
import type { ClusterStatus } from "@millrace/broker/internal";
import { MillraceError } from "@millrace/client";
import type { BrokerAddress } from "./arguments/url-argument.ts";
import { readCertificates } from "./client-session.ts";

/** A node waits one second for the others before it answers. */
const TIMEOUT_MS = 10_000;
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Asks the broker behind the URL of its WebSocket how it is.
 * @throws MillraceError CONNECT_FAILED, or what the broker says
 */
export async function requestStatus(address: BrokerAddress, signal: AbortSignal): Promise<ClusterStatus> {
  const { status, body } = await httpGet(address, signal);
  let answer: unknown;
  try {
    answer = JSON.parse(body);
  } catch {
    throw failed(address, `it answers with something else than a status (HTTP ${status})`);
  }
  if (status === 200) return answer as ClusterStatus;
  const { error, message } = answer as { readonly error?: string; readonly message?: string };
  throw failed(address, `${error ?? `HTTP ${status}`}: ${message ?? "no reason given"}`);
}

interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

function httpGet(address: BrokerAddress, signal: AbortSignal): Promise<HttpAnswer> {
  const url = new URL("/v1/status", address.url);
  const isTls = url.protocol === "wss:";
  const ca = address.tlsCa === undefined ? {} : { ca: readCertificates(address.tlsCa) };
  const options = {
    hostname: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? (isTls ? 443 : 80) : url.port,
    path: url.pathname,
    signal,
    timeout: TIMEOUT_MS,
    ...ca,
  };
  return new Promise((resolve, reject) => {
    const request = (isTls ? getHttps : getHttp)(options, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > ANSWER_BYTES_MAX) request.destroy(new Error("its answer has no end"));
        else chunks.push(chunk);
      });
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() });
      });
      response.on("error", (error) => reject(failed(address, error.message)));
    });
    request.on("timeout", () => request.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
    request.on("error", (error) => reject(failed(address, error.message || String(error))));
  });
}

function failed({ url }: BrokerAddress, why: string): MillraceError {
  return new MillraceError("CONNECT_FAILED", `cannot ask ${url} for its status: ${why}`, {
    details: { url },
  });
}
