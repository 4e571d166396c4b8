import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import { LIMITS } from "../limits.ts";
import { readStrings, writeStrings } from "./element.ts";

/** Client to server, first frame: `[1, versionMin, versionMax, clientName, [feature], auth?, extensions]` */
export interface HelloFrame {
  readonly versionMin: number;
  readonly versionMax: number;
  readonly clientName: string;
  /** Features that the client cannot do without. */
  readonly features: readonly string[];
  /** undefined or null: none. This release refuses anything else. */
  readonly auth?: unknown;
  readonly extensions: Readonly<Record<string, unknown>>;
}

export function encodeHello(writer: FrameWriter, frame: HelloFrame): void {
  writer.arrayHeader(7);
  writer.uint(FRAME_TYPE.HELLO);
  writer.uint(frame.versionMin);
  writer.uint(frame.versionMax);
  writer.str(frame.clientName);
  writeStrings(writer, frame.features);
  writer.any(frame.auth);
  writer.any(frame.extensions);
}

export function decodeHello(reader: FrameReader): HelloFrame {
  const versionMin = reader.required("versionMin").uint();
  const versionMax = reader.required("versionMax").uint();
  const clientName = reader.more() ? reader.str(LIMITS.clientNameBytesMax) : "";
  const features = reader.more() ? readStrings(reader, LIMITS.featuresMax) : [];
  const auth = reader.more() ? reader.any() : null;
  const extensions = reader.more() ? reader.map() : {};
  reader.close();
  return { versionMin, versionMax, clientName, features, auth, extensions };
}
