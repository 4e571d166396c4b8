import { tlsFiles } from "./broker-settings.ts";
import type { Configuration } from "./configuration.ts";

/**
 * Refuses what a start would refuse for the configuration's sake alone.
 * @param nowMs ms since the epoch
 * @throws MillraceError INSECURE_HOST, TLS_FILE_UNREADABLE, TLS_FILE_INVALID, TLS_KEY_MISMATCH, TLS_CERTIFICATE_EXPIRED
 */
export async function refuseUnusable({ settings }: Configuration, nowMs: number): Promise<void> {
  const { checkTlsFiles, refuseOpenHost } = await import("@millrace/gateway/internal");
  refuseOpenHost(settings.host, settings.insecure);
  const files = tlsFiles(settings);
  if (files !== undefined) checkTlsFiles(files, nowMs);
}
