import { type Command, Option } from "commander";
import {
  fallbackText,
  SETTING_NAMES,
  SETTINGS,
  type Setting,
  type SettingName,
  settingKey,
} from "./settings.ts";

/** What commander makes of the flags of all settings: values as they were parsed, none for what was not said. */
export type SettingFlags = Readonly<Partial<Record<SettingName, unknown>>>;

/** The flag of every setting, and `--config`; the help shows those named, all without a list. */
export function addSettingOptions(command: Command, shown: readonly SettingName[] = SETTING_NAMES): void {
  command.addOption(
    new Option("--config <file>", "YAML file of settings; also by the variable MILLRACE_CONFIG"),
  );
  for (const name of SETTING_NAMES) {
    const option = settingOption(name);
    command.addOption(shown.includes(name) ? option : option.hideHelp());
    // So that what the file turns on can be turned off.
    if (SETTINGS[name].kind.type === "boolean") {
      command.addOption(new Option(`--no-${settingKey(name)}`).hideHelp());
    }
  }
}

/** The flag of one setting. It has no default: whether it was said decides if another source is asked. */
function settingOption(name: SettingName): Option {
  const { kind, argument, help }: Pick<Setting, "kind" | "argument" | "help"> = SETTINGS[name];
  const flag = `--${settingKey(name)}`;
  if (kind.type === "boolean") return new Option(flag, help);
  const option = new Option(`${flag} ${argument}`, `${help} (default: ${fallbackText(name)})`);
  if (kind.list) return option;
  return option.argParser((text) => kind.parse([text], undefined));
}
