import { posix } from "node:path";
import type { Finding, SourceFile } from "./source-file.ts";

/** What each package may import of the others. The one table; HACKING.md shows it, biome.json repeats it. */
export const IMPORT_DIRECTION: Readonly<Record<string, readonly string[]>> = {
  core: [],
  protocol: [],
  journal: ["core", "protocol"],
  broker: ["core", "protocol", "journal"],
  gateway: ["core", "protocol", "broker"],
  client: ["protocol"],
  load: ["protocol", "client"],
  cli: ["client", "broker", "gateway", "load"],
};

const SPECIFIERS: readonly RegExp[] = [
  /^\s*(?:import|export)\b[^;"']*?\bfrom\s*["']([^"']+)["']/gm,
  /^\s*import\s*["']([^"']+)["']/gm,
  /\bimport\(\s*["']([^"']+)["']\s*\)/g,
];
const WORKER_URL = /\bnew URL\(\s*["'](\.[^"']+\.js)["']\s*,\s*import\.meta\.url/g;

/** Every module that a file names: static and dynamic imports, re-exports. Not those in comments. */
export function importsOf(file: SourceFile): string[] {
  const text = withoutComments(file.text);
  return SPECIFIERS.flatMap((pattern) => Array.from(text.matchAll(pattern), (match) => match[1]!));
}

/** Imports that go upwards, past a package's two doors, or out of its own folder. */
export function importDirection(files: readonly SourceFile[]): Finding[] {
  return files.flatMap((file) => importsOf(file).flatMap((specifier) => checkImport(file.path, specifier)));
}

/** Dependencies in a package.json that its code may not import. */
export function dependencyDirection(manifests: readonly SourceFile[]): Finding[] {
  return manifests.flatMap(({ path, text }) => {
    const allowed = IMPORT_DIRECTION[path.split("/")[1] ?? ""];
    if (allowed === undefined) return [{ path, message: "is not in the table of import directions" }];
    const manifest = JSON.parse(text) as { readonly dependencies?: Record<string, string> };
    return Object.keys(manifest.dependencies ?? {})
      .filter((name) => name.startsWith("@millrace/") && !allowed.includes(name.slice("@millrace/".length)))
      .map((name) => ({ path, message: `must not depend on ${name}` }));
  });
}

function checkImport(path: string, specifier: string): Finding[] {
  const finding = (message: string): Finding[] => [{ path, message: `imports "${specifier}": ${message}` }];
  const [area, name = ""] = path.split("/");
  if (specifier.startsWith(".")) {
    const ending = path.slice(path.lastIndexOf("."));
    if (!specifier.endsWith(ending)) return finding(`a relative import ends in ${ending}`);
    const depth = area === "packages" || area === "examples" ? 2 : 1;
    const home = path.split("/").slice(0, depth).join("/");
    const target = posix.join(posix.dirname(path), specifier);
    return target.startsWith(`${home}/`) ? [] : finding("it leaves its package");
  }
  const [, target = "", door] = /^@millrace\/([^/]+)(?:\/(.+))?$/.exec(specifier) ?? [];
  if (target === "") return [];
  if (door !== undefined && door !== "internal")
    return finding("a package has the doors . and ./internal only");
  if (area === "examples" && door !== undefined) return finding("examples show the public interface only");
  if (area !== "packages" || path.split("/")[2] !== "src") return [];
  const allowed = IMPORT_DIRECTION[name] ?? [];
  return allowed.includes(target) ? [] : finding(`${name} may import ${allowed.join(", ") || "no sibling"}`);
}

/** Files of a package's src that no entry reaches by imports or worker URLs. */
export function deadFiles(files: readonly SourceFile[], entries: readonly string[]): Finding[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const reached = new Set<string>();
  const pending = entries.filter((entry) => byPath.has(entry));
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    const file = byPath.get(path)!;
    const workers = Array.from(file.text.matchAll(WORKER_URL), (match) => match[1]!.replace(/\.js$/, ".ts"));
    for (const specifier of [...importsOf(file), ...workers]) {
      const target = posix.join(posix.dirname(path), specifier);
      if (specifier.startsWith(".") && byPath.has(target)) pending.push(target);
    }
  }
  return files
    .filter((file) => !reached.has(file.path))
    .map(({ path }) => ({ path, message: "no entry of its package reaches it: delete it or use it" }));
}

function withoutComments(text: string): string {
  // Imports stand in lines of their own: a line that begins as a comment does is one.
  return text.replace(/^\s*(?:\/\/|\*|\/\*).*$/gm, "");
}
