import type { FrameReader } from "../frame-reader.ts";
import { FRAME_TYPE } from "../frame-type.ts";
import type { FrameWriter } from "../frame-writer.ts";
import type { MillraceError } from "../millrace-error.ts";

/**
 * Either way: `[3, requestId?, code, name, retriable, message, details]`. It answers the request with that id; without
 * an id its details say what it concerns, and one with neither concerns the session, which is then closed.
 */
export interface ErrorFrame {
  /** undefined: nil on the wire. */
  readonly requestId?: number | undefined;
  readonly code: number;
  readonly name: string;
  readonly retriable: boolean;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

export function encodeError(writer: FrameWriter, frame: ErrorFrame): void {
  writer.arrayHeader(7);
  writer.uint(FRAME_TYPE.ERROR);
  if (frame.requestId === undefined) writer.nil();
  else writer.uint(frame.requestId);
  writer.uint(frame.code);
  writer.str(frame.name);
  writer.bool(frame.retriable);
  writer.str(frame.message);
  writer.any(frame.details);
}

export function decodeError(reader: FrameReader): ErrorFrame {
  const requestId = reader.required("requestId").nil() ? undefined : reader.uint();
  const code = reader.required("code").uint();
  const name = reader.required("name").str();
  const retriable = reader.more() ? reader.bool() : false;
  const message = reader.more() ? reader.str() : "";
  const details = reader.more() ? reader.map() : {};
  reader.close();
  return { requestId, code, name, retriable, message, details };
}

/** The frame that reports `error`. */
export function errorFrameOf(error: MillraceError, requestId?: number): ErrorFrame {
  const { number, code, retriable, message, details } = error;
  return { requestId, code: number, name: code, retriable, message, details };
}
