import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { LIMITS } from "../limits.ts";
import { readStrings, writeStrings } from "./element.ts";

/**
 * Server to client, the answer to HELLO:
 * `[2, version, [feature], limits, sessionId, serverTimeMs, serverName, publishCredit, extensions]`
 */
export interface WelcomeFrame {
  readonly version: number;
  /** Features that the server offers. */
  readonly features: readonly string[];
  /** By the names of LIMITS. */
  readonly limits: Readonly<Record<string, number>>;
  readonly sessionId: number;
  /** ms since the epoch. */
  readonly serverTimeMs: number;
  readonly serverName: string;
  /** First publishCreditLimit, bytes of PUBLISH frames. */
  readonly publishCredit: number;
  readonly extensions: Readonly<Record<string, unknown>>;
}

export function encodeWelcome(writer: FrameWriter, frame: WelcomeFrame): void {
  writer.arrayHeader(9);
  writer.uint(FRAME_TYPE.WELCOME);
  writer.uint(frame.version);
  writeStrings(writer, frame.features);
  writer.any(frame.limits);
  writer.uint(frame.sessionId);
  writer.uint(frame.serverTimeMs);
  writer.str(frame.serverName);
  writer.uint(frame.publishCredit);
  writer.any(frame.extensions);
}

export function decodeWelcome(reader: FrameReader): WelcomeFrame {
  const version = reader.required("version").uint();
  const features = readStrings(reader.required("features"), LIMITS.featuresMax);
  const limits = readLimits(reader.required("limits"));
  const sessionId = reader.required("sessionId").uint();
  const serverTimeMs = reader.required("serverTimeMs").uint();
  const serverName = reader.more() ? reader.str() : "";
  const publishCredit = reader.more() ? reader.uint() : 0;
  const extensions = reader.more() ? reader.map() : {};
  reader.close();
  return { version, features, limits, sessionId, serverTimeMs, serverName, publishCredit, extensions };
}

function readLimits(reader: FrameReader): Record<string, number> {
  const limits = reader.map();
  for (const name of Object.keys(limits)) {
    if (typeof limits[name] !== "number") reader.malformed(`limit ${name} is not a number`);
  }
  return limits as Record<string, number>;
}
