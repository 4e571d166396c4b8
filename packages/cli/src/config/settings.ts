import type { LogFormat } from "../output/broker-log.ts";
import {
  booleanKind,
  choiceKind,
  integerKind,
  listKind,
  pathKind,
  sizeOrNoneKind,
  textKind,
  type ValueKind,
} from "./value-kind.ts";

/** What `millrace serve` goes by. Undefined: nobody said, and the broker decides by itself. */
export interface Settings {
  readonly host: string;
  readonly port: number;
  readonly data: string;
  readonly nodes: number | undefined;
  readonly nodeThreads: number | undefined;
  readonly shards: number | undefined;
  readonly threads: number | undefined;
  /** Bytes. */
  readonly retentionTotal: number | "none" | undefined;
  readonly insecure: boolean;
  readonly allowOrigin: readonly string[];
  readonly autoCreate: boolean;
  readonly tlsCert: string | undefined;
  readonly tlsKey: string | undefined;
  readonly tlsPassphraseFile: string | undefined;
  readonly logFormat: LogFormat;
}

export type SettingName = keyof Settings;

/** A setting: the one place from which its flag, its variable, its key in the file and its row in the reference come. */
export interface Setting<N extends SettingName = SettingName> {
  readonly kind: ValueKind<NonNullable<Settings[N]>>;
  /** The flag's argument in the help; empty for a boolean. */
  readonly argument: string;
  readonly help: string;
  readonly fallback: Settings[N];
  /** What an undefined fallback comes to. */
  readonly fallbackText?: string;
  /**
   * When a changed value is taken: `reload`: also by SIGHUP and `millrace restart`, for which the nodes of a cluster are
   * started anew one by one; `restart`: when `serve` is started the next time.
   */
  readonly applies: "reload" | "restart";
}

/** More nodes than that cannot be told apart. */
const NODES_MAX = 127;

/** In the order of the help and of the reference. */
export const SETTINGS: { readonly [N in SettingName]: Setting<N> } = {
  host: {
    kind: textKind(),
    argument: "<host>",
    help: "address to listen on; other than loopback needs --insecure",
    fallback: "127.0.0.1",
    applies: "restart",
  },
  port: {
    kind: integerKind(0, 65_535),
    argument: "<port>",
    help: "port to listen on; 0 = any that is free",
    fallback: 7070,
    applies: "restart",
  },
  data: {
    kind: pathKind(),
    argument: "<folder>",
    help: "where everything is kept; made by a start if it is not there",
    fallback: "./millrace-data",
    applies: "restart",
  },
  nodes: {
    kind: integerKind(1, NODES_MAX, "processes"),
    argument: "<n>",
    help: "processes that serve the port together, watched by a supervisor; 1 = one, watched too",
    fallback: undefined,
    fallbackText: "one for every 4 cores; a single one is not watched",
    applies: "restart",
  },
  nodeThreads: {
    kind: integerKind(1, 1024, "threads"),
    argument: "<n>",
    help: "threads of each node that the shards run on",
    fallback: undefined,
    fallbackText: "the cores that no node's own thread takes",
    applies: "reload",
  },
  shards: {
    kind: integerKind(1, 1024, "shards"),
    argument: "<n>",
    help: "shards of a new data folder; fixed from then on",
    fallback: undefined,
    fallbackText: "one a core, 2 to 64",
    applies: "restart",
  },
  threads: {
    kind: integerKind(1, 1024, "threads"),
    argument: "<n>",
    help: "threads that the shards run on, of a broker of one process, which this asks for; with --nodes it is --node-threads",
    fallback: undefined,
    fallbackText: "one a core but one",
    applies: "restart",
  },
  retentionTotal: {
    kind: sizeOrNoneKind(),
    argument: "<size>",
    help: "bytes that all topics may take together, such as 200GiB; past it the oldest records go first; none = no bound",
    fallback: undefined,
    fallbackText: "80 % of the volume",
    applies: "reload",
  },
  insecure: {
    kind: booleanKind(),
    argument: "",
    help: "allow a host other than loopback although there is no authentication",
    fallback: false,
    applies: "restart",
  },
  allowOrigin: {
    kind: listKind(),
    argument: "<origin...>",
    help: "accept browsers from these origins; * = from any",
    fallback: [],
    fallbackText: "own address",
    applies: "reload",
  },
  autoCreate: {
    kind: booleanKind(),
    argument: "",
    help: "create a topic when it is first used",
    fallback: false,
    applies: "reload",
  },
  tlsCert: {
    kind: pathKind(),
    argument: "<file>",
    help: "serve wss:// instead of ws://, with this certificate (PEM, with its chain); needs --tls-key",
    fallback: undefined,
    fallbackText: "none",
    applies: "reload",
  },
  tlsKey: {
    kind: pathKind(),
    argument: "<file>",
    help: "the certificate's private key (PEM)",
    fallback: undefined,
    fallbackText: "none",
    applies: "reload",
  },
  tlsPassphraseFile: {
    kind: pathKind(),
    argument: "<file>",
    help: "file whose first line is the passphrase of the key",
    fallback: undefined,
    fallbackText: "none",
    applies: "reload",
  },
  logFormat: {
    kind: choiceKind(["pretty", "json"]),
    argument: "<format>",
    help: "how to log on standard output: pretty or json",
    fallback: "pretty",
    applies: "restart",
  },
};

export const SETTING_NAMES: readonly SettingName[] = Object.keys(SETTINGS) as SettingName[];

const NAMES_BY_KEY: ReadonlyMap<string, SettingName> = new Map(
  SETTING_NAMES.map((name) => [settingKey(name), name]),
);

/** `retention-total`: the key in a file, and the flag without its dashes. */
export function settingKey(name: SettingName): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `MILLRACE_RETENTION_TOTAL` */
export function settingVariable(name: SettingName): string {
  return `MILLRACE_${settingKey(name).replaceAll("-", "_").toUpperCase()}`;
}

export function settingOfKey(key: string): SettingName | undefined {
  return NAMES_BY_KEY.get(key);
}

/** What applies where nobody says anything, for people. */
export function fallbackText<N extends SettingName>(name: N): string {
  const { fallbackText: text, fallback }: Setting<N> = SETTINGS[name];
  return text ?? formatValue(name, fallback);
}

/** A value as it would be written, or what comes of none. */
export function formatValue<N extends SettingName>(name: N, value: Settings[N]): string {
  const { kind, fallbackText: text = "" }: Setting<N> = SETTINGS[name];
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return `(${text})`;
  return kind.format(value as NonNullable<Settings[N]>);
}
