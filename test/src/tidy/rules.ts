import { codeOf, type Finding, type SourceFile } from "./source-file.ts";

interface Ban {
  readonly pattern: RegExp;
  readonly instead: string;
  /** Files that the ban is about, and among them those whose job the banned thing is. */
  readonly where: RegExp;
  readonly except?: RegExp;
}

const SOURCES = /^(packages|examples)\/[^/]+\/src\//;
const DETERMINISTIC = /^packages\/(?:(?:core|protocol|journal)\/src|broker\/src\/shard)\//;

const BANS: readonly Ban[] = [
  {
    pattern: /\bDate\.now\b|\bnew Date\(\s*\)|\bperformance\.now\b|\bprocess\.hrtime\b/,
    instead: "inject a clock; only system-clock.ts reads the machine's",
    where: SOURCES,
    except: /(^|\/)system-clock\.ts$/,
  },
  {
    pattern: /\bMath\.random\b/,
    instead: "inject entropy; only entropy.ts makes it",
    where: SOURCES,
    except: /(^|\/)entropy\.ts$/,
  },
  {
    pattern: /\b(randomBytes|randomUUID|randomInt|randomFillSync|getRandomValues)\b/,
    instead: "inject entropy: a shard must run the same under the simulator",
    where: DETERMINISTIC,
    except: /(^|\/)(system-)?entropy\.ts$/,
  },
  { pattern: /\bconsole\.\w+/, instead: "a Logger, or the command's own output", where: SOURCES },
  {
    pattern: /\bprocess\.exit\b/,
    instead: "an error: only a program's main.ts ends the process",
    where: SOURCES,
    except: /(^|[/-])main\.ts$/,
  },
  { pattern: /^\s*(?:export\s+)?(?:const\s+)?enum\s/m, instead: "as const and a union", where: /./ },
  { pattern: /^\s*export\s+\*/m, instead: "exports written out by name", where: /./ },
  {
    pattern: /\bPromise\.withResolvers\b|\bAtomics\.pause\b|\bArray\.fromAsync\b|\bPromise\.try\b/,
    instead: "what Node 20 has",
    where: /./,
  },
  { pattern: /\b(?:t|tap)\.only\b/, instead: "the whole test", where: /./ },
];

/** Names with a better replacement. */
export function bannedNames(files: readonly SourceFile[]): Finding[] {
  return files.flatMap(({ path, text }) => {
    const bans = BANS.filter(({ where, except }) => where.test(path) && except?.test(path) !== true);
    if (bans.length === 0) return [];
    const code = codeOf(text);
    return bans.flatMap(({ pattern, instead }) => {
      const match = pattern.exec(code);
      if (match === null) return [];
      const line = code.slice(0, match.index).split("\n").length;
      return [{ path, message: `line ${line}: ${match[0].trim()} is banned; use ${instead}` }];
    });
  });
}

const EMPTY_WORDS = /(^|[-.])(utils?|helpers?|misc|common|stuff|manager|queue2)([-.]|$)/;
const TEST_KINDS = /\.(test|stress|fuzz|sim|integrity|types)\.ts$/;

/** Files named for want of a name, or not in kebab case. */
export function fileNames(files: readonly SourceFile[]): Finding[] {
  return files.flatMap(({ path }) => {
    const name = path.slice(path.lastIndexOf("/") + 1);
    if (EMPTY_WORDS.test(name)) return [{ path, message: "name it by its concept" }];
    if (!/^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z]+)+$/.test(name))
      return [{ path, message: "kebab-case, please" }];
    const dotted = name.split(".").length > 2;
    return dotted && !TEST_KINDS.test(name) ? [{ path, message: "not a known kind of test" }] : [];
  });
}

/** Files so long that two concepts share them. */
export function fileLengths(files: readonly SourceFile[], linesMax: number): Finding[] {
  return files.flatMap(({ path, text }) => {
    const lines = text.split("\n").length - 1;
    return lines > linesMax ? [{ path, message: `${lines} lines, at most ${linesMax}` }] : [];
  });
}

/** A page has one first-level heading, on its first line. */
export function markdownHeadings(pages: readonly SourceFile[]): Finding[] {
  return pages.flatMap(({ path, text }) => {
    const headings = withoutCodeBlocks(text).filter((line) => /^# /.test(line)).length;
    if (headings !== 1) return [{ path, message: `${headings} first-level headings instead of one` }];
    return text.startsWith("# ") ? [] : [{ path, message: "the heading is not on the first line" }];
  });
}

/** Links to files of the repository that are not there. */
export function markdownLinks(
  pages: readonly SourceFile[],
  exists: (from: string, target: string) => boolean,
): Finding[] {
  return pages.flatMap(({ path, text }) =>
    Array.from(
      withoutCodeBlocks(text)
        .join("\n")
        .matchAll(/\]\(([^)\s]+)\)/g),
      (match) => match[1]!,
    )
      .filter((target) => !/^(https?:|mailto:|#)/.test(target))
      .filter((target) => !exists(path, target.replace(/#.*$/, "")))
      .map((target) => ({ path, message: `links to ${target}, which is not there` })),
  );
}

/** Names that a text does not mention as words. */
export function unmentioned(names: readonly string[], text: string, path: string, what: string): Finding[] {
  const words = new Set(text.match(/[A-Z][A-Z0-9_]+/g) ?? []);
  return names
    .filter((name) => !words.has(name))
    .map((name) => ({ path, message: `${what} ${name} is missing` }));
}

function withoutCodeBlocks(text: string): string[] {
  let inBlock = false;
  return text.split("\n").filter((line) => {
    if (/^\s*```/.test(line)) {
      inBlock = !inBlock;
      return false;
    }
    return !inBlock;
  });
}
