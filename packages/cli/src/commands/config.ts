import { resolve } from "node:path";
import type { Command } from "commander";
import type { CommandContext, RunCommand } from "../command-context.ts";
import { type Configuration, loadConfiguration } from "../config/configuration.ts";
import { addSettingOptions, type SettingFlags } from "../config/setting-options.ts";
import { formatValue, SETTING_NAMES, SETTINGS, settingKey } from "../config/settings.ts";
import { refuseUnusable } from "../config/usable-configuration.ts";
import { EXIT, type ExitCode } from "../exit-code.ts";
import { printLines } from "../output/print-lines.ts";
import { textTable } from "../output/text-table.ts";

interface CheckOptions {
  readonly config?: string;
  readonly json?: boolean;
}

const HELP = `
It takes all options of "serve" as well, to show what would come of them. Paths in a file begin at its folder, those of options
and variables at the current one. Nothing secret is printed: secrets are in files of their own, which are only named.

Exit codes: 0 a broker can be run with it; 1 it cannot: what is wrong is on standard error, a line each; 2 the command line is
wrong.`;

/** `millrace config` */
export function registerConfig(program: Command, run: RunCommand): void {
  const config = program.command("config").description("look at the configuration of a broker");
  const check = config
    .command("check")
    .description("check the configuration, and print what applies and where from")
    .option("--json", "print a JSON object for each setting")
    .addHelpText("after", HELP);
  addSettingOptions(check, []);
  check.action((options: CheckOptions & SettingFlags) => run((context) => checkConfig(context, options)));
}

async function checkConfig(
  context: CommandContext,
  { config: file, json = false, ...flags }: CheckOptions & SettingFlags,
): Promise<ExitCode> {
  const configuration = loadConfiguration({ flags, env: context.env, file });
  for (const warning of configuration.warnings) context.stderr.write(`warning: ${warning}\n`);
  await printLines(context, json ? jsonLines(configuration) : tableLines(configuration));
  await refuseUnusable(configuration, context.clock.wallMs());
  return EXIT.OK;
}

function tableLines({ settings, origins, file }: Configuration): string[] {
  const rows = SETTING_NAMES.map((name) => [
    settingKey(name),
    formatValue(name, settings[name]),
    origins[name].at,
  ]);
  const from = file === undefined ? "no configuration file is named" : `configuration file ${resolve(file)}`;
  return [from, ...textTable(["KEY", "VALUE", "SOURCE"], rows)];
}

function jsonLines({ settings, origins }: Configuration): string[] {
  return SETTING_NAMES.map((name) => {
    const { source, at } = origins[name];
    const { applies } = SETTINGS[name];
    return JSON.stringify({ key: settingKey(name), value: settings[name] ?? null, source, at, applies });
  });
}
