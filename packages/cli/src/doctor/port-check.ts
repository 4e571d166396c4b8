import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Settings } from "../config/settings.ts";
import type { Check } from "./check.ts";
import { type PortOwner, portOwners } from "./port-owner.ts";

/** Asking a stranger must not take long. */
const ANSWER_TIMEOUT_MS = 1_000;
const ANSWER_BYTES_MAX = 1_024;

/**
 * Whether the port can be had, or who has it.
 * @param folderOwners processes that the data folder belongs to at the moment; undefined when nobody runs on it
 */
export async function portCheck(
  settings: Settings,
  folderOwners: readonly number[] | undefined,
): Promise<Check> {
  const name = "port";
  const { host, port } = settings;
  if (port === 0) return { name, state: "ok", sentence: "any that is free" };
  const { probePort } = await import("@millrace/gateway/internal");
  try {
    await probePort({ host, port, tls: undefined });
    return { name, state: "ok", sentence: `${host} port ${port} is free` };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "PORT_FORBIDDEN") {
      return { name, state: "failed", sentence: message, advice: "use a port from 1024 on (--port)" };
    }
    if (code !== "PORT_IN_USE") {
      return { name, state: "failed", sentence: message, advice: "use an address of this machine (--host)" };
    }
  }
  return takenPortCheck(settings, portOwners(port), await isMillrace(settings), folderOwners);
}

/** The port is taken: by the broker of this data folder, as it should be, or by somebody else. */
export function takenPortCheck(
  { host, port }: Pick<Settings, "host" | "port">,
  owners: readonly PortOwner[],
  isBroker: boolean,
  folderOwners: readonly number[] | undefined,
): Check {
  const name = "port";
  const who = owners.map((owner) => `process ${owner.pid} (${owner.name})`).join(", ");
  // Where the system hides who it is, it is taken for the folder's own if it answers as a broker.
  const isOwn =
    folderOwners !== undefined &&
    (owners.length === 0 ? isBroker : owners.some(({ pid }) => folderOwners.includes(pid)));
  if (isOwn) return { name, state: "ok", sentence: `${host} port ${port} is served${who && ` by ${who}`}` };
  const what = isBroker ? "another Millrace broker" : "another program";
  return {
    name,
    state: "failed",
    sentence: `${what} listens on ${host} port ${port}${who && `: ${who}`}`,
    advice:
      owners.length > 0
        ? "stop it, or choose another port (--port)"
        : `choose another port (--port); "sudo ss -ltnp sport = :${port}" says who it is`,
  };
}

/** Whether whoever listens there answers as a broker does. */
function isMillrace({ host, port, tlsCert }: Settings): Promise<boolean> {
  return new Promise((resolve) => {
    const options = {
      host: host.replace(/^\[|\]$/g, ""),
      port,
      path: "/healthz",
      timeout: ANSWER_TIMEOUT_MS,
    };
    // It is not trusted with anything, so its certificate need not be either.
    const call =
      tlsCert === undefined ? httpRequest(options) : httpsRequest({ ...options, rejectUnauthorized: false });
    const timer = setTimeout(() => call.destroy(), ANSWER_TIMEOUT_MS);
    const done = (answer: boolean): void => {
      clearTimeout(timer);
      resolve(answer);
      call.destroy();
    };
    call.on("response", (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        body += chunk;
        if (body.length > ANSWER_BYTES_MAX) done(false);
      });
      response.on("end", () => done(body.trim() === '{"status":"ok"}'));
      response.on("error", () => done(false));
    });
    call.on("error", () => done(false));
    call.on("close", () => done(false));
    call.end();
  });
}
