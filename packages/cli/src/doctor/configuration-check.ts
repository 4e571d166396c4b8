import { CommandError } from "../command-error.ts";
import { type Configuration, type ConfigurationSources, loadConfiguration } from "../config/configuration.ts";
import { refuseUnusable } from "../config/usable-configuration.ts";
import type { Check } from "./check.ts";

const NAME = "configuration";

/** Loads the configuration; undefined when that cannot be done, and then it is one of the checks that failed. */
export async function checkConfiguration(
  sources: ConfigurationSources,
  nowMs: number,
): Promise<{ readonly checks: readonly Check[]; readonly configuration: Configuration | undefined }> {
  let configuration: Configuration;
  try {
    configuration = loadConfiguration(sources);
  } catch (error) {
    // What is wrong with the command line is said as always.
    if (!(error instanceof CommandError) || error.code === "USAGE") throw error;
    const checks = error.lines.map((sentence): Check => ({ name: NAME, state: "failed", sentence }));
    return { checks, configuration: undefined };
  }
  const { warnings, file } = configuration;
  const checks = warnings.map((sentence): Check => ({ name: NAME, state: "warning", sentence }));
  try {
    await refuseUnusable(configuration, nowMs);
    checks.push({ name: NAME, state: "ok", sentence: file ?? "no file, so options, variables and defaults" });
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    if (code === "") throw error;
    checks.push({ name: NAME, state: "failed", sentence: `${code}: ${message}` });
  }
  return { checks, configuration };
}
