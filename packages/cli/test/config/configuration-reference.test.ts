import { readFileSync } from "node:fs";
import t from "tap";
import {
  fallbackText,
  SETTING_NAMES,
  SETTINGS,
  type SettingName,
  settingKey,
  settingVariable,
} from "../../src/config/settings.ts";
import { configFile, loadFile } from "./config-file.ts";

// dist/test/config -> docs
const PAGE = readFileSync(new URL("../../../../../docs/reference/configuration.md", import.meta.url), "utf8");

/** The row that the page has to have, up to the meaning. */
function row(name: SettingName): string {
  const { kind, argument, applies } = SETTINGS[name];
  const type = kind.detail === "" ? kind.type : `${kind.type}, ${kind.detail}`;
  const flag = `--${settingKey(name)} ${argument}`.trimEnd();
  const cells = [
    `\`${settingKey(name)}\``,
    type,
    fallbackText(name),
    `\`${flag}\``,
    `\`${settingVariable(name)}\``,
    applies,
  ];
  return `| ${cells.join(" | ")} |`;
}

t.test(
  "docs/reference/configuration.md has every setting as it is, in its order, and no other",
  async (t) => {
    const rows = Array.from(
      PAGE.matchAll(/^\| `[^|]*` (?:\|[^|]*){2}\| `--[^|]*\| `MILLRACE_[^|]*\|[^|]*\|/gm),
      ([text]) => text,
    );
    t.same(rows, SETTING_NAMES.map(row));
  },
);

t.test("the page's example is a configuration", async (t) => {
  const [, example = ""] = /```yaml\n([\s\S]*?)```/.exec(PAGE) ?? [];
  const { settings } = loadFile(configFile(t, example));
  t.match(settings, { host: "0.0.0.0", retentionTotal: 200 * 1024 ** 3, logFormat: "json" });
  t.equal(settings.allowOrigin.length, 2);
});
