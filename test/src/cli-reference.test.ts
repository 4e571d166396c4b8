import { readFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { runCommand } from "./harness/millrace-command.ts";
import { REPOSITORY } from "./tidy/source-file.ts";

const PAGE = readFileSync(join(REPOSITORY, "docs/reference/cli.md"), "utf8");
const COMMON = new Set(["--help", "--version", "--url", "--tls-ca", "--json"]);

/** What a command's help and its section of the page say. */
const COMMANDS: readonly { readonly args: readonly string[]; readonly section: string }[] = [
  { args: ["serve"], section: "millrace serve" },
  { args: ["restart"], section: "millrace restart" },
  { args: ["shard", "move"], section: "millrace shard" },
  { args: ["config", "check"], section: "millrace config" },
  { args: ["status"], section: "millrace status" },
  { args: ["topic", "create"], section: "millrace topic" },
  { args: ["topic", "list"], section: "millrace topic" },
  { args: ["topic", "describe"], section: "millrace topic" },
  { args: ["topic", "alter"], section: "millrace topic" },
  { args: ["topic", "truncate"], section: "millrace topic" },
  { args: ["topic", "delete"], section: "millrace topic" },
  { args: ["pub"], section: "millrace pub" },
  { args: ["sub"], section: "millrace sub" },
  ...["create", "list", "describe", "alter", "seek", "pause", "resume", "snapshot", "delete"].map((verb) => ({
    args: ["subscription", verb],
    section: "millrace subscription",
  })),
  { args: ["peek"], section: "millrace peek" },
  { args: ["dlq", "list"], section: "millrace dlq" },
  { args: ["dlq", "redrive"], section: "millrace dlq" },
  { args: ["doctor"], section: "millrace doctor" },
  { args: ["inspect"], section: "millrace inspect" },
  { args: ["backup"], section: "millrace backup" },
  { args: ["restore"], section: "millrace restore" },
  ...["pub", "sub", "e2e", "queue", "keyed", "rpc"].map((kind) => ({
    args: ["bench", kind],
    section: "millrace bench",
  })),
];

t.test("docs/reference/cli.md has every option of every command, and no other", async (t) => {
  const documented = new Map<string, Set<string>>();
  const offered = new Map<string, Set<string>>();
  for (const { args, section } of COMMANDS) {
    documented.set(section, new Set(optionRows(sectionOf(section))));
    const known = offered.get(section) ?? new Set<string>();
    for (const option of optionsOf(await helpOf(t, args))) known.add(option);
    offered.set(section, known);
  }
  for (const [section, options] of offered) {
    const own = [...options].filter((option) => !COMMON.has(option.split(" ")[0] ?? ""));
    t.same([...(documented.get(section) ?? [])].sort(), own.sort(), section);
  }
  t.same(
    optionRows(sectionOf("Common to all commands"))
      .map((option) => option.split(" ")[0])
      .sort(),
    [...COMMON].sort(),
  );
});

t.test("millrace alone names its commands", async (t) => {
  const help = await helpOf(t, []);
  for (const { args } of COMMANDS) t.match(help, new RegExp(`^  ${args[0]} `, "m"));
});

async function helpOf(t: Test, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runCommand(t, [...args, "--help"]);
  if (code !== 0) throw new Error(`--help ended with ${code}: ${stderr}`);
  return stdout;
}

/** `--name <argument>` of each option in a help text. */
function optionsOf(help: string): string[] {
  return Array.from(help.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+(?: <[^>]+>)?)/gm), (match) => match[1]!);
}

function sectionOf(title: string): string {
  const start = PAGE.indexOf(`\n## ${title}\n`);
  if (start < 0) throw new Error(`no section "${title}"`);
  const end = PAGE.indexOf("\n## ", start + 1);
  return PAGE.slice(start, end < 0 ? PAGE.length : end);
}

/** The first cells of a section's table rows that name an option. */
function optionRows(section: string): string[] {
  return Array.from(section.matchAll(/^\| `(--[a-z-]+(?: <[^>]+>)?)` \|/gm), (match) => match[1]!);
}
