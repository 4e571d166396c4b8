import { parseArgs } from "node:util";
import type { Durability } from "@millrace/load";
import { SCENARIO_NAMES } from "../subjects/subject.ts";
import type { SuitePlan } from "./suite-plan.ts";

/** What was asked for; what is undefined or empty is each scenario's own choice. */
export interface SuiteOptions {
  readonly mode: SuitePlan["mode"];
  /** Parts of names; none: all. */
  readonly scenarios: readonly string[];
  readonly subjects: readonly string[];
  readonly valueBytes: readonly number[];
  readonly batchBytes: readonly number[];
  readonly lingerMs: number | undefined;
  readonly durabilities: readonly Durability[];
  readonly producers: number | undefined;
  readonly consumers: readonly number[];
  readonly partitions: number | undefined;
  /** Records a second, open loop. */
  readonly rates: readonly number[];
  readonly rounds: number | undefined;
  readonly durationMs: number | undefined;
  readonly warmUpMs: number | undefined;
  readonly json: string | undefined;
  readonly html: string | undefined;
  readonly folder: string | undefined;
  readonly list: boolean;
  /** false: the page cache is left as it is. */
  readonly fillPageCache: boolean;
}

/** What is printed instead, and with which exit code. */
export class UsageText extends Error {
  readonly exitCode: number;

  constructor(text: string, exitCode: number) {
    super(text);
    this.exitCode = exitCode;
  }
}

const DURABILITIES: readonly Durability[] = ["memory", "written", "fsynced"];

const HELP = `Usage: pnpm bench [options]

  --scenario NAME      only scenarios whose name contains NAME; --list names them
  --subject NAME       only brokers whose name contains NAME; =NAME is that one alone
  --value BYTES        size of a value (100; --full also 16, 1024 and 16384)
  --batch BYTES        batch of the client, 0 = one record a frame (65536; both where batching decides)
  --linger MS          how long a client waits for a batch to fill (1)
  --durability COLUMN  memory, written or fsynced
  --producers N        --consumers N     --partitions N
  --rate N             records a second at a fixed schedule instead of as many as possible
  --rounds N           samples of each subject, in turn (3; 1 with --quick, 5 with --full)
  --duration SECONDS   length of a measured window (5; 1 with --quick, 10 with --full)
  --warm-up SECONDS    load before it (2; 0.5 with --quick, 3 with --full)
  --quick              everything shortly, for a first look: the figures are for no decision
  --full               all value sizes; rows that write to the disk run until they are steady
  --json FILE          write all results there
  --html FILE          write a report there, one page that needs nothing else
  --folder DIR         where data goes, which decides the disk that is measured (the system's temporary folder)
  --no-page-cache      do not fill free memory with page cache first
  --list               name scenarios and brokers, and stop

NAME, BYTES, COLUMN, N and --rate may be given several times, or separated by commas.
`;

/** @throws UsageText for --help, or with what is wrong */
export function parseSuiteOptions(args: readonly string[]): SuiteOptions {
  try {
    return parse(args);
  } catch (error) {
    if (error instanceof UsageText) throw error;
    throw new UsageText(`${(error as Error).message}\n\n${HELP}`, 2);
  }
}

function parse(args: readonly string[]): SuiteOptions {
  const several = { type: "string", multiple: true } as const;
  const one = { type: "string" } as const;
  const flag = { type: "boolean", default: false } as const;
  const { values } = parseArgs({
    args: args.filter((arg, index) => !(index === 0 && arg === "--")),
    options: {
      scenario: several,
      subject: several,
      value: several,
      batch: several,
      linger: one,
      durability: several,
      producers: one,
      consumers: several,
      partitions: one,
      rate: several,
      rounds: one,
      duration: one,
      "warm-up": one,
      quick: flag,
      full: flag,
      json: one,
      html: one,
      folder: one,
      "no-page-cache": flag,
      list: flag,
      help: flag,
    },
  });
  if (values.help) throw new UsageText(HELP, 0);
  if (values.quick && values.full) throw new Error("--quick and --full exclude each other");
  const scenarios = split(values.scenario);
  for (const name of scenarios) {
    if (!SCENARIO_NAMES.some((known) => known.includes(name)))
      throw new Error(`no scenario is called ${name}`);
  }
  const seconds = (name: string, text: string | undefined): number | undefined => {
    const value = numberOf(name, text, 0);
    return value === undefined ? undefined : value * 1000;
  };
  return {
    mode: values.quick ? "quick" : values.full ? "full" : "default",
    scenarios,
    subjects: split(values.subject),
    valueBytes: integers("--value", values.value, 8),
    batchBytes: integers("--batch", values.batch, 0),
    lingerMs: numberOf("--linger", values.linger, 0),
    durabilities: split(values.durability).map(durabilityOf),
    producers: integers("--producers", values.producers, 1)[0],
    consumers: integers("--consumers", values.consumers, 1),
    partitions: integers("--partitions", values.partitions, 1)[0],
    rates: integers("--rate", values.rate, 1),
    rounds: integers("--rounds", values.rounds, 1)[0],
    durationMs: seconds("--duration", values.duration),
    warmUpMs: seconds("--warm-up", values["warm-up"]),
    json: values.json,
    html: values.html,
    folder: values.folder,
    list: values.list,
    fillPageCache: !values["no-page-cache"],
  };
}

function split(texts: readonly string[] = []): string[] {
  return texts.flatMap((text) => text.split(",")).filter((text) => text !== "");
}

function integers(option: string, texts: string | readonly string[] | undefined, least: number): number[] {
  return split(typeof texts === "string" ? [texts] : (texts ?? [])).map((text) => {
    const value = numberOf(option, text, least) as number;
    if (!Number.isInteger(value)) throw new Error(`${option} takes a whole number: got ${text}`);
    return value;
  });
}

function numberOf(option: string, text: string | undefined, least: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value < least)
    throw new Error(`${option} takes a number of ${least} or more: got ${text}`);
  return value;
}

function durabilityOf(text: string): Durability {
  const durability = DURABILITIES.find((known) => known === text);
  if (durability === undefined)
    throw new Error(`--durability is one of ${DURABILITIES.join(", ")}: got ${text}`);
  return durability;
}
