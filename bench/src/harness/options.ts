import { parseArgs } from "node:util";

/** The options that every bench command takes. */
export interface BenchOptions {
  /** Write the results there as a JSON list. */
  readonly json: string | undefined;
  /** Short samples, for a first look. */
  readonly quick: boolean;
  /** Only the rows whose name contains one of these. */
  readonly only: readonly string[];
  /** Length of a sample's measured window. */
  readonly durationMs: number | undefined;
  readonly rounds: number | undefined;
  /** Where the temporary folder goes; it decides which disk is measured. */
  readonly folder: string | undefined;
  readonly list: boolean;
  /** Where the command takes it. */
  readonly nodes: number | undefined;
}

/** What the help says of the options whose defaults are the command's own. */
export interface OptionTexts {
  readonly quick: string;
  readonly duration: string;
  readonly rounds: string;
  /** Undefined: the command knows no such option. */
  readonly nodes?: string;
}

const help = (texts: OptionTexts): string => `
  --json FILE        write the results there: a list of objects with name, ratio, target, met and raw figures
  --quick            ${texts.quick}
  --only NAME        only rows whose name contains NAME (may be repeated)
  --duration SECONDS ${texts.duration}
  --rounds N         ${texts.rounds}${texts.nodes === undefined ? "" : `\n  --nodes N          ${texts.nodes}`}
  --folder DIR       where temporary data goes (default: the system's temporary folder)
  --list             print the names of the rows and stop
  --help             this text
`;

/** Parses process arguments; prints help or a complaint and ends the process where there is nothing to run. */
export function parseBenchOptions(
  command: string,
  args: readonly string[],
  texts: OptionTexts,
): BenchOptions {
  try {
    const { values } = parseArgs({
      args: args.filter((arg, index) => !(index === 0 && arg === "--")),
      options: {
        json: { type: "string" },
        quick: { type: "boolean", default: false },
        only: { type: "string", multiple: true, default: [] },
        duration: { type: "string" },
        rounds: { type: "string" },
        folder: { type: "string" },
        ...(texts.nodes === undefined ? {} : { nodes: { type: "string" as const } }),
        list: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) {
      process.stdout.write(`Usage: ${command} [options]\n${help(texts)}`);
      process.exit(0);
    }
    const seconds = positive("--duration", values.duration);
    return {
      json: values.json,
      quick: values.quick,
      only: values.only,
      durationMs: seconds === undefined ? undefined : seconds * 1000,
      rounds: positive("--rounds", values.rounds),
      folder: values.folder,
      list: values.list,
      nodes: positive("--nodes", values.nodes as string | undefined),
    };
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\nUsage: ${command} [options]\n${help(texts)}`);
    process.exit(2);
  }
}

function positive(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value)))
    throw new Error(`${option} takes a positive number: got ${text}`);
  return value;
}
