import { dirname, resolve } from "node:path";
import { InvalidArgumentError } from "commander";
import { CommandError } from "../command-error.ts";
import { type DocumentEntry, parseConfigDocument, shown } from "./config-document.ts";
import { readConfigText } from "./config-text.ts";
import { nearestName } from "./nearest-name.ts";
import {
  formatValue,
  SETTING_NAMES,
  SETTINGS,
  type SettingName,
  type Settings,
  settingKey,
  settingOfKey,
  settingVariable,
} from "./settings.ts";

/** Names the file where no flag does. */
export const FILE_VARIABLE = "MILLRACE_CONFIG";
const VARIABLE_PREFIX = "MILLRACE_";

/** Kubernetes gives every pod `NAME_PORT=tcp://…` of each service: of one that is called millrace, ours. */
const SERVICE_LINK = /^(?:tcp|udp|sctp):\/\//;

/** Told at once; a file with more is not a configuration with mistakes, but another file. */
const PROBLEMS_MAX = 20;

export type ConfigurationSource = "flag" | "environment" | "file" | "default";

/** Where a configuration is put together from; loading it again reads the file afresh. */
export interface ConfigurationSources {
  /** What the command line said: values as they were parsed, no defaults. */
  readonly flags: Readonly<Partial<Record<SettingName, unknown>>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Of `--config`; without it the variable MILLRACE_CONFIG may name a file. */
  readonly file?: string | undefined;
}

/** Where a value is from. */
export interface ConfigurationOrigin {
  readonly source: ConfigurationSource;
  /** `--port`, `MILLRACE_PORT`, `millrace.yaml:3:7`, or `default`. */
  readonly at: string;
}

/** What applies. */
export interface Configuration {
  readonly settings: Settings;
  readonly origins: Readonly<Record<SettingName, ConfigurationOrigin>>;
  /** The file that was read, as it was named. */
  readonly file: string | undefined;
  /** What is probably not meant; a sentence each. */
  readonly warnings: readonly string[];
}

/** A setting whose value is another one than before. */
export interface SettingChange {
  readonly key: string;
  readonly before: string;
  readonly after: string;
  /** See Setting. */
  readonly applies: "reload" | "restart";
}

interface StatedValue extends ConfigurationOrigin {
  readonly value: unknown;
}

/** What one source says. */
interface Statements {
  readonly values: ReadonlyMap<SettingName, StatedValue>;
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

/**
 * Puts a configuration together: flags before the environment, the environment before the file, the file before the
 * defaults, key by key. Every source is checked, also what another one overrides.
 * @throws CommandError CONFIG_UNREADABLE, CONFIG_INVALID with all that is wrong; USAGE when it is the flags alone
 */
export function loadConfiguration(sources: ConfigurationSources): Configuration {
  const { flags, env } = sources;
  const file = sources.file ?? (env[FILE_VARIABLE] || undefined);
  const stated = [flagStatements(flags), environmentStatements(env)];
  if (file !== undefined) stated.push(fileStatements(file));
  const problems = stated.flatMap((statements) => statements.problems);
  const values: Partial<Record<SettingName, unknown>> = {};
  const origins: Partial<Record<SettingName, ConfigurationOrigin>> = {};
  for (const name of SETTING_NAMES) {
    const strongest = stated
      .map((statements) => statements.values.get(name))
      .find((one) => one !== undefined);
    const { value, source, at }: StatedValue = strongest ?? {
      value: SETTINGS[name].fallback,
      source: "default",
      at: "default",
    };
    values[name] = value;
    origins[name] = { source, at };
  }
  const configuration: Configuration = {
    // Each value is what the kind of its setting has parsed.
    settings: values as unknown as Settings,
    origins: origins as Record<SettingName, ConfigurationOrigin>,
    file,
    warnings: stated.flatMap(({ warnings }) => warnings),
  };
  if (problems.length > 0) throw invalid(problems);
  refuseCombinations(configuration);
  return configuration;
}

/** What differs, in the order of the reference. */
export function changedSettings(before: Settings, after: Settings): SettingChange[] {
  return SETTING_NAMES.map((name) => ({
    key: settingKey(name),
    before: formatValue(name, before[name]),
    after: formatValue(name, after[name]),
    applies: appliesTo(name, before, after),
  })).filter((change) => change.before !== change.after);
}

/** What a broker that goes on goes by: what only a restart takes stays as it was. */
export function reloadedSettings(before: Settings, after: Settings): Settings {
  const settings: Partial<Record<SettingName, unknown>> = {};
  for (const name of SETTING_NAMES) {
    settings[name] = (appliesTo(name, before, after) === "reload" ? after : before)[name];
  }
  return settings as unknown as Settings;
}

/** Clients of one port speak TLS or not, all of them: it is turned on and off by a restart alone. */
function appliesTo(name: SettingName, before: Settings, after: Settings): "reload" | "restart" {
  const isTurned = (before.tlsCert === undefined) !== (after.tlsCert === undefined);
  return isTurned && name.startsWith("tls") ? "restart" : SETTINGS[name].applies;
}

/** Commander has parsed them, and refused what cannot be read. */
function flagStatements(flags: ConfigurationSources["flags"]): Statements {
  const values = new Map<SettingName, StatedValue>();
  for (const name of SETTING_NAMES) {
    const value = flags[name];
    if (value === undefined) continue;
    const at = value === false ? `--no-${settingKey(name)}` : `--${settingKey(name)}`;
    values.set(name, { value, source: "flag", at });
  }
  return { values, problems: [], warnings: [] };
}

/** An empty variable says nothing: Docker Compose and others cannot leave one out. */
function environmentStatements(env: ConfigurationSources["env"]): Statements {
  const values = new Map<SettingName, StatedValue>();
  const problems: string[] = [];
  const warnings: string[] = [];
  for (const name of SETTING_NAMES) {
    const at = settingVariable(name);
    const text = (env[at] ?? "").trim();
    if (text === "") continue;
    if (name === "port" && SERVICE_LINK.test(text)) {
      warnings.push(`${at} is what Kubernetes says of a service, not a port: it is not used`);
      continue;
    }
    const items = SETTINGS[name].kind.list ? text.split(/[\s,]+/).filter((item) => item !== "") : [text];
    const value = parsed(name, items, undefined, (why) =>
      problems.push(`${at}: found ${shown(text)}, ${why}`),
    );
    if (value !== undefined) values.set(name, { value, source: "environment", at });
  }
  return { values, problems, warnings: [...warnings, ...slips(env)] };
}

/** Variables that look like a setting with a slip. Others are none of our business: tests and services have their own. */
function slips(env: ConfigurationSources["env"]): string[] {
  const known = new Map(SETTING_NAMES.map((name) => [settingKey(name), settingVariable(name)]));
  const names = new Set([...known.values(), FILE_VARIABLE]);
  return Object.keys(env)
    .filter((variable) => variable.startsWith(VARIABLE_PREFIX) && !names.has(variable))
    .flatMap((variable) => {
      const nearest = nearestName(variable.slice(VARIABLE_PREFIX.length), [...known.keys(), "config"]);
      if (nearest === undefined) return [];
      return [`${shown(variable)} is no variable of ours: is ${known.get(nearest) ?? FILE_VARIABLE} meant?`];
    });
}

function fileStatements(file: string): Statements {
  const { entries, problem } = parseConfigDocument(readConfigText(file), file);
  const folder = dirname(resolve(file));
  const values = new Map<SettingName, StatedValue>();
  const problems = problem === undefined ? [] : [problem];
  for (const entry of entries) {
    if (entry.firstAt !== undefined) {
      problems.push(`${entry.at}: ${shown(entry.key)} stands here again, first at ${entry.firstAt}`);
      continue;
    }
    const name = settingOfKey(entry.key);
    if (name === undefined) {
      problems.push(unknownKey(entry));
      continue;
    }
    const { kind } = SETTINGS[name];
    // No kind takes an empty text: a list where a value belongs is told what is expected.
    const items = entry.items === undefined || (entry.isList && !kind.list) ? [""] : entry.items;
    const place = `${entry.valueAt}: ${entry.key}`;
    const value = parsed(name, items, folder, (why) =>
      problems.push(`${place}: found ${entry.found}, ${why}`),
    );
    if (value !== undefined) values.set(name, { value, source: "file", at: entry.at });
  }
  return { values, problems, warnings: [] };
}

function unknownKey({ key, at, isNested }: DocumentEntry): string {
  const nearest = nearestName(key, SETTING_NAMES.map(settingKey));
  const nested = isNested ? "; keys are not nested" : "";
  const meant = nearest === undefined ? "" : `; is ${nearest} meant?`;
  return `${at}: there is no key ${shown(key)}${nested}${meant}`;
}

/** Undefined when it cannot be read; then `problem` is called with what was expected. */
function parsed(
  name: SettingName,
  items: readonly string[],
  folder: string | undefined,
  problem: (expected: string) => void,
): unknown {
  try {
    return SETTINGS[name].kind.parse(items, folder);
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    problem(error.message.replace(/^It must be /, "expected ").replace(/\.$/, ""));
    return undefined;
  }
}

function refuseCombinations({ settings, origins }: Configuration): void {
  const { tlsCert, tlsKey, tlsPassphraseFile, nodes, nodeThreads, threads } = settings;
  if ((tlsCert === undefined) !== (tlsKey === undefined) || (tlsPassphraseFile !== undefined && !tlsCert)) {
    throw combination(origins, ["tlsCert", "tlsKey", "tlsPassphraseFile"], (label) => {
      return `${label("tlsCert")} and ${label("tlsKey")} are given together`;
    });
  }
  if (threads !== undefined && (nodes !== undefined || nodeThreads !== undefined)) {
    throw combination(origins, ["threads", "nodes", "nodeThreads"], (label) => {
      return `${label("threads")} is for a broker of one process: with ${label("nodes")} it is ${label("nodeThreads")}`;
    });
  }
}

/** `names` take part in it; the text calls them what whoever said them did. */
function combination(
  origins: Configuration["origins"],
  names: readonly SettingName[],
  text: (label: (name: SettingName) => string) => string,
): CommandError {
  const stated = names.map((name) => origins[name]).filter(({ source }) => source !== "default");
  if (stated.every(({ source }) => source === "flag")) {
    return new CommandError(
      "USAGE",
      text((name) => `--${settingKey(name)}`),
    );
  }
  return invalid([`${text(settingKey)}; found ${stated.map(({ at }) => at).join(" and ")}`]);
}

function invalid(problems: readonly string[]): CommandError {
  const more = problems.length - PROBLEMS_MAX;
  const lines = more > 0 ? [...problems.slice(0, PROBLEMS_MAX), `and ${more} more like that`] : problems;
  return new CommandError("CONFIG_INVALID", lines.join("; "), { lines });
}
