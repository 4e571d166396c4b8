import type { ConfigurationSources } from "../config/configuration.ts";
import type { Settings } from "../config/settings.ts";
import type { Check } from "./check.ts";
import { checkConfiguration } from "./configuration-check.ts";
import { checkFolder, checkVolume } from "./folder-checks.ts";
import { openFileLimit, openFilesCheck } from "./open-files-check.ts";
import { portCheck } from "./port-check.ts";
import { nativeModuleCheck, nodeVersionCheck, platformCheck } from "./version-checks.ts";

/** What was found out besides the data. */
export interface MachineReport {
  readonly checks: readonly Check[];
  /** What the configuration says; undefined when it cannot be told. */
  readonly settings: Settings | undefined;
}

/** Looks at everything but the data, whether a broker runs or not; changes nothing. */
export async function checkMachine(
  sources: ConfigurationSources,
  cores: number,
  nowMs: number,
): Promise<MachineReport> {
  const { checks: configured, configuration } = await checkConfiguration(sources, nowMs);
  const platform = platformCheck(process.platform);
  const checks: Check[] = [
    ...configured,
    nodeVersionCheck(process.versions.node),
    ...(platform === undefined ? [] : [platform]),
    await nativeModuleCheck(),
  ];
  // Without it there is no knowing which folder and port are meant.
  if (configuration === undefined) return { checks, settings: undefined };
  const { settings } = configuration;
  const folder = await checkFolder(settings);
  checks.push(await coresCheck(settings, cores));
  checks.push(await filesCheck(folder.shards ?? settings.shards ?? cores, folder.owners));
  checks.push(...folder.checks, ...(await checkVolume(settings)));
  checks.push(await portCheck(settings, folder.owners));
  return { checks, settings };
}

async function coresCheck({ nodes }: Settings, cores: number): Promise<Check> {
  const { defaultTopology } = await import("@millrace/broker/internal");
  const { reason } = defaultTopology(cores);
  if (nodes === undefined) return { name: "cores", state: "ok", sentence: reason };
  if (nodes <= cores) return { name: "cores", state: "ok", sentence: `${cores}, for ${nodes} nodes` };
  return {
    name: "cores",
    state: "warning",
    sentence: `${cores}, for ${nodes} nodes, each of which keeps one busy and more`,
    advice: `fewer nodes; of themselves there would be ${reason}`,
  };
}

async function filesCheck(shards: number, owners: readonly number[] | undefined): Promise<Check> {
  const { GATEWAY_LIMITS } = await import("@millrace/gateway/internal");
  // The last one is a node where there are any: it has the connections.
  return openFilesCheck(openFileLimit(owners?.at(-1)), shards, GATEWAY_LIMITS.sessionsMax);
}
