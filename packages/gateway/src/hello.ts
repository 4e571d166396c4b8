import { type HelloFrame, LIMITS, MillraceError } from "@millrace/protocol";

/** Optional parts of the protocol that this server offers; a client that needs others is refused. */
export const SERVER_FEATURES: readonly string[] = [];

/**
 * Checks what a client needs. What this release does not implement is refused, never ignored.
 * @throws MillraceError UNSUPPORTED_VERSION, UNSUPPORTED_FEATURE or MALFORMED_FRAME; a close follows.
 */
export function checkHello(frame: HelloFrame): void {
  const { versionMin, versionMax } = frame;
  if (
    versionMin > LIMITS.protocolVersion ||
    versionMax < LIMITS.protocolVersionMin ||
    versionMin > versionMax
  ) {
    throw new MillraceError("UNSUPPORTED_VERSION", "client and server have no protocol version in common", {
      details: { versionMin: LIMITS.protocolVersionMin, versionMax: LIMITS.protocolVersion },
    });
  }
  if (frame.features.length > LIMITS.featuresMax) {
    throw new MillraceError("MALFORMED_FRAME", `a HELLO names at most ${LIMITS.featuresMax} features`);
  }
  if (Buffer.byteLength(frame.clientName) > LIMITS.clientNameBytesMax) {
    throw new MillraceError(
      "MALFORMED_FRAME",
      `a client's name has at most ${LIMITS.clientNameBytesMax} bytes`,
    );
  }
  const feature = frame.features.find((name) => !SERVER_FEATURES.includes(name));
  if (feature !== undefined) throw unsupported(`feature ${JSON.stringify(feature)}`, { feature });
  if (frame.auth !== undefined && frame.auth !== null)
    throw unsupported("authentication", { feature: "auth" });
  const [extension] = Object.keys(frame.extensions);
  if (extension !== undefined) throw unsupported(`extension ${JSON.stringify(extension)}`, { extension });
}

function unsupported(what: string, details: Record<string, unknown>): MillraceError {
  return new MillraceError("UNSUPPORTED_FEATURE", `this release does not implement ${what}`, { details });
}
