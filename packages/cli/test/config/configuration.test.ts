import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import t from "tap";
import type { CommandError } from "../../src/command-error.ts";
import {
  type Configuration,
  changedSettings,
  loadConfiguration,
  reloadedSettings,
} from "../../src/config/configuration.ts";
import {
  formatValue,
  SETTING_NAMES,
  SETTINGS,
  type SettingName,
  settingKey,
  settingVariable,
} from "../../src/config/settings.ts";
import { configFile, testFolder } from "./config-file.ts";

function load(
  env: Record<string, string>,
  flags: Partial<Record<SettingName, unknown>> = {},
  file?: string,
): Configuration {
  return loadConfiguration({ flags, env, file });
}

/** The lines of what is thrown. */
function refused(
  env: Record<string, string>,
  flags: Partial<Record<SettingName, unknown>> = {},
  file?: string,
) {
  try {
    load(env, flags, file);
  } catch (error) {
    const { code, exitCode, lines } = error as CommandError;
    return { code, exitCode, lines };
  }
  throw new Error("it was taken");
}

t.test("with nothing said the defaults apply", async (t) => {
  const { settings, origins, file, warnings } = load({});
  t.match(settings, { host: "127.0.0.1", port: 7070, data: "./millrace-data", logFormat: "pretty" });
  for (const name of SETTING_NAMES) t.same(origins[name], { source: "default", at: "default" }, name);
  t.same([file, warnings], [undefined, []]);
});

/** Two texts that each setting takes. */
const TEXTS: Readonly<Record<SettingName, readonly [string, string]>> = {
  host: ["127.0.0.1", "broker.example"],
  port: ["7070", "0"],
  data: ["/a", "/b"],
  nodes: ["1", "4"],
  nodeThreads: ["1", "9"],
  shards: ["2", "64"],
  threads: ["1", "3"],
  retentionTotal: ["none", "200GiB"],
  insecure: ["true", "false"],
  allowOrigin: ["*", "https://a.example"],
  autoCreate: ["true", "false"],
  tlsCert: ["/c.pem", "/d.pem"],
  tlsKey: ["/c.key", "/d.key"],
  tlsPassphraseFile: ["/c.txt", "/d.txt"],
  logFormat: ["json", "pretty"],
};

t.test("flags before the environment, that before the file, that before the defaults", async (t) => {
  const file = join(testFolder(t), "millrace.yaml");
  // Which of two texts each source says of a setting, if it does.
  const says = fc.option(fc.constantFrom(0, 1), { nil: undefined, freq: 1 });
  const each = fc.record({ flag: says, environment: says, file: says });
  const all = fc.record(
    Object.fromEntries(SETTING_NAMES.map((name) => [name, each])) as Record<SettingName, typeof each>,
  );
  fc.assert(
    fc.property(all, fc.boolean(), (statements, isOneProcess) => {
      const flags: Partial<Record<SettingName, unknown>> = {};
      const env: Record<string, string> = {};
      let text = "";
      for (const name of SETTING_NAMES) {
        // What does not go together is tested below.
        const contradicts = isOneProcess ? name === "nodes" || name === "nodeThreads" : name === "threads";
        if (contradicts) statements[name] = { flag: undefined, environment: undefined, file: undefined };
        const said = statements[name];
        if (name === "tlsCert" || name === "tlsKey") said.file ??= 0;
        if (said.flag !== undefined)
          flags[name] = SETTINGS[name].kind.parse([TEXTS[name][said.flag]], undefined);
        if (said.environment !== undefined) env[settingVariable(name)] = TEXTS[name][said.environment];
        if (said.file !== undefined) text += `${settingKey(name)}: '${TEXTS[name][said.file]}'\n`;
      }
      writeFileSync(file, text);
      const { settings, origins } = load(env, flags, file);
      for (const name of SETTING_NAMES) {
        const said = statements[name];
        const source = (["flag", "environment", "file"] as const).find((one) => said[one] !== undefined);
        const expected =
          source === undefined
            ? SETTINGS[name].fallback
            : SETTINGS[name].kind.parse([TEXTS[name][said[source] as number] as string], undefined);
        t.same([settings[name], origins[name].source], [expected, source ?? "default"], name);
      }
    }),
    { numRuns: 60 },
  );
});

t.test("every value is written as it is read", async (t) => {
  for (const name of SETTING_NAMES) {
    for (const text of TEXTS[name]) {
      const value = SETTINGS[name].kind.parse([text], undefined);
      t.equal(formatValue(name, value as never), text, name);
    }
  }
});

t.test("variables: empty ones say nothing, lists have spaces or commas, slips are told", async (t) => {
  const { settings, origins, warnings } = load({
    MILLRACE_HOST: "",
    MILLRACE_DATA: "  ",
    MILLRACE_SHARDS: " 8\n",
    MILLRACE_ALLOW_ORIGIN: "https://a.example, https://b.example https://c.example",
    MILLRACE_LOGFORMAT: "json",
    MILLRACE_PROT: "1",
    MILLRACE_SEED: "1",
    MILLRACE_TEST_TARGET: "cluster",
    MILLRACE_SERVICE_HOST: "10.0.0.1",
    MILLRACE_PORT: "tcp://10.0.0.1:7070",
    MILLRACE_PORT_7070_TCP_ADDR: "10.0.0.1",
  });
  t.match(settings, {
    host: "127.0.0.1",
    port: 7070,
    data: "./millrace-data",
    shards: 8,
    allowOrigin: ["https://a.example", "https://b.example", "https://c.example"],
    logFormat: "pretty",
  });
  t.same(origins.shards, { source: "environment", at: "MILLRACE_SHARDS" });
  t.same(warnings, [
    "MILLRACE_PORT is what Kubernetes says of a service, not a port: it is not used",
    '"MILLRACE_LOGFORMAT" is no variable of ours: is MILLRACE_LOG_FORMAT meant?',
    '"MILLRACE_PROT" is no variable of ours: is MILLRACE_PORT meant?',
  ]);
});

t.test("a variable can name the file, a flag another one", async (t) => {
  const one = configFile(t, "port: 1");
  const two = configFile(t, "port: 2");
  t.match(load({ MILLRACE_CONFIG: one }), { file: one, settings: { port: 1 } });
  t.match(load({ MILLRACE_CONFIG: one }, {}, two), { file: two, settings: { port: 2 } });
  t.equal(load({ MILLRACE_CONFIG: "" }).file, undefined);
  t.match(refused({ MILLRACE_CONFIG: `${one}.not` }), { code: "CONFIG_UNREADABLE", exitCode: 1 });
});

t.test("what is wrong is told of all sources, also where another one is stronger", async (t) => {
  const file = configFile(t, "port: no\nhots: a");
  t.same(refused({ MILLRACE_PORT: "70000", MILLRACE_INSECURE: "1" }, { port: 80 }, file), {
    code: "CONFIG_INVALID",
    exitCode: 1,
    lines: [
      'MILLRACE_PORT: found "70000", expected an integer from 0 to 65535',
      'MILLRACE_INSECURE: found "1", expected "true" or "false"',
      `${file}:1:7: port: found "no", expected an integer from 0 to 65535`,
      `${file}:2:1: there is no key "hots"; is host meant?`,
    ],
  });
});

t.test("settings that do not go together", async (t) => {
  const file = configFile(t, "tls-cert: a.pem\nnodes: 2");
  t.same(refused({ MILLRACE_THREADS: "2" }, { tlsKey: "k.pem" }, file), {
    code: "CONFIG_INVALID",
    exitCode: 1,
    lines: [
      `threads is for a broker of one process: with nodes it is node-threads; found MILLRACE_THREADS and ${file}:2:1`,
    ],
  });
  t.match(refused({}, {}, configFile(t, "tls-cert: a.pem")), {
    code: "CONFIG_INVALID",
    lines: [/^tls-cert and tls-key are given together; found .*:1:1$/],
  });
  t.same(refused({}, { tlsKey: "k.pem" }), {
    code: "USAGE",
    exitCode: 2,
    lines: ["--tls-cert and --tls-key are given together"],
  });
  t.match(refused({ MILLRACE_TLS_PASSPHRASE_FILE: "p" }), { lines: [/are given together/] });
  t.match(refused({}, { threads: 1, nodeThreads: 1 }), { code: "USAGE" });
});

t.test("loaded again, it says what has changed and what takes it", async (t) => {
  const file = configFile(t, "port: 1\nallow-origin: [a, b]\nretention-total: 1GiB");
  const sources = { flags: { host: "::1" }, env: {}, file };
  const before = loadConfiguration(sources);
  t.same(changedSettings(before.settings, loadConfiguration(sources).settings), []);
  writeFileSync(file, "host: 127.0.0.2\nport: 2\nallow-origin: [a]\nauto-create: true");
  const after = loadConfiguration(sources);
  const { settings } = before;
  t.same(reloadedSettings(settings, settings), settings);
  t.same(reloadedSettings(settings, after.settings), {
    ...settings,
    retentionTotal: undefined,
    allowOrigin: ["a"],
    autoCreate: true,
  });
  t.same(changedSettings(settings, after.settings), [
    { key: "port", before: "1", after: "2", applies: "restart" },
    { key: "retention-total", before: "1GiB", after: "(80 % of the volume)", applies: "reload" },
    { key: "allow-origin", before: "a b", after: "a", applies: "reload" },
    { key: "auto-create", before: "false", after: "true", applies: "reload" },
  ]);
  writeFileSync(file, "port: 1\nallow-origin: [a, b]\nretention-total: 1GiB\ntls-cert: /c\ntls-key: /k");
  const secure = loadConfiguration(sources).settings;
  t.match(changedSettings(settings, secure), [
    { key: "tls-cert", applies: "restart" },
    { key: "tls-key", applies: "restart" },
  ]);
  t.same(reloadedSettings(settings, secure), settings, "TLS is not turned on for some clients");
  t.match(changedSettings(secure, { ...secure, tlsCert: "/d" }), [{ key: "tls-cert", applies: "reload" }]);
});
