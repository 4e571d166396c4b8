import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import t, { type Test } from "tap";

const PACKAGE = fileURLToPath(new URL("../../", import.meta.url));
const REPOSITORY = join(PACKAGE, "..", "..");
const TSC = join(REPOSITORY, "node_modules", "typescript", "bin", "tsc");
const NODE_TYPES = join(REPOSITORY, "node_modules", "@types");

const MANIFEST = JSON.parse(readFileSync(join(PACKAGE, "package.json"), "utf8")) as {
  exports: Record<string, unknown>;
  dependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
};

/** What users may import besides the package itself. */
const SUBPATHS = Object.keys(MANIFEST.exports)
  .filter((path) => ![".", "./internal", "./package.json"].includes(path))
  .map((path) => `@millrace/core/${path.slice(2)}`);

/** What a command prints, errors included; rejects when it fails, with `stdout` as a property. */
async function run(command: string, args: readonly string[], cwd: string): Promise<string> {
  // tap puts a loader of its own into every process that is spawned, and tsc then no longer fails; `env` takes it away.
  const { stdout } = await promisify(execFile)("env", ["-u", "NODE_OPTIONS", command, ...args], {
    cwd,
    timeout: 60_000,
  });
  return stdout;
}

interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

/** A fresh project whose node_modules holds the package as npm would publish it and its peers, nothing else. */
async function freshProject(t: Test): Promise<{ folder: string; files: string[] }> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-package-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const args = ["pack", "--json", "--offline", "--ignore-scripts", "--pack-destination", folder];
  const packed = JSON.parse(await run("npm", args, PACKAGE)) as Packed[] | Record<string, Packed>;
  // A list, or by name from npm 12 on.
  const [tarball] = Object.values(packed);
  if (tarball === undefined) throw new Error("npm pack packed nothing");
  const target = join(folder, "node_modules", "@millrace", "core");
  await mkdir(target, { recursive: true });
  await run("tar", ["-xzf", tarball.filename, "-C", target, "--strip-components=1"], folder);
  for (const peer of Object.keys(MANIFEST.peerDependencies ?? {})) {
    await symlink(join(PACKAGE, "node_modules", peer), join(folder, "node_modules", peer), "junction");
  }
  await writeFile(join(folder, "package.json"), '{ "name": "fresh", "private": true, "type": "commonjs" }');
  return { folder, files: tarball.files.map((file) => file.path) };
}

/** A round trip through a ring; prints "record of 3: 1,2,3". */
const ROUND_TRIP = `
const ring = OneToOneRingBuffer.attach(OneToOneRingBuffer.allocate(1024));
ring.write(1, Uint8Array.of(1, 2, 3));
ring.publish();
ring.read((type, index, length) => console.log("record of " + length + ": " + ring.bytes.subarray(index, index + length).join()));
`;

/** TypeScript's view of the same: the types of what is most used are there, and not \`any\`. */
const TYPED = `
import { Doorbell, INSUFFICIENT_CAPACITY, OneToOneRingBuffer, type MessageHandler, type RingBuffer } from "@millrace/core";

const ring: RingBuffer = OneToOneRingBuffer.attach(OneToOneRingBuffer.allocate(1024));
const handler: MessageHandler = (_type, index, length) => {
  const payload: Uint8Array = ring.bytes.subarray(index, index + length);
  payload.fill(0);
};
export const full: boolean = ring.write(1, new Uint8Array(3)) === INSUFFICIENT_CAPACITY;
export const read: number = ring.read(handler);
export const bell: Doorbell = Doorbell.attach(Doorbell.allocate());
// @ts-expect-error a type is a number
ring.write("1", new Uint8Array(3));
// @ts-expect-error private memory does not do
OneToOneRingBuffer.attach("no memory");
`;

/** Accepted if `bytes` were `any`, as it is where its type is not found. */
const MISTAKE =
  "export const mistake: string = OneToOneRingBuffer.attach(OneToOneRingBuffer.allocate(1024)).bytes;";

async function complaintsOfTsc(folder: string): Promise<string> {
  try {
    return await run(process.execPath, [TSC, "-p", "tsconfig.json"], folder);
  } catch (error) {
    return (error as { stdout: string }).stdout || String(error);
  }
}

t.test("a fresh project with the packed package", async (t) => {
  const { folder, files } = await freshProject(t);

  t.test("holds what users need and nothing of ours", async (t) => {
    for (const file of ["package.json", "README.md", "LICENSE", "dist/src/index.js", "dist/src/index.d.ts"]) {
      t.ok(files.includes(file), file);
    }
    t.same(
      files.filter((file) => /^(dist\/)?test\/|tsbuildinfo/.test(file)),
      [],
    );
    t.same(MANIFEST.dependencies ?? {}, {}, "no dependency");
  });

  t.test("can be imported and required", async (t) => {
    await writeFile(
      join(folder, "esm.mjs"),
      `import { OneToOneRingBuffer } from "@millrace/core";${ROUND_TRIP}`,
    );
    await writeFile(
      join(folder, "common.cjs"),
      `const { OneToOneRingBuffer } = require("@millrace/core");${ROUND_TRIP}`,
    );
    for (const file of ["esm.mjs", "common.cjs"]) {
      t.equal((await run(process.execPath, [file], folder)).trim(), "record of 3: 1,2,3", file);
    }
    await writeFile(
      join(folder, "deep.mjs"),
      // In two parts: our own rules forbid to import that way.
      'import("@millrace/core" + "/dist/src/limits.js").catch((error) => console.log(error.code));',
    );
    t.equal((await run(process.execPath, ["deep.mjs"], folder)).trim(), "ERR_PACKAGE_PATH_NOT_EXPORTED");
  });

  t.test("subpaths can be imported and required", async (t) => {
    for (const specifier of SUBPATHS) {
      await writeFile(
        join(folder, "sub.mjs"),
        `import("${specifier}").then((all) => console.log(typeof all));`,
      );
      await writeFile(join(folder, "sub.cjs"), `console.log(typeof require("${specifier}"));`);
      for (const file of ["sub.mjs", "sub.cjs"]) {
        t.equal((await run(process.execPath, [file], folder)).trim(), "object", `${specifier} from ${file}`);
      }
    }
  });

  t.test("has types for every kind of resolution", async (t) => {
    const node = { types: ["node"], typeRoots: [NODE_TYPES], lib: ["es2023"] };
    const browser = { types: [], lib: ["es2023", "dom"] };
    const bundler = { module: "preserve", moduleResolution: "bundler" };
    const configurations = [
      { name: "nodenext, esm", file: "typed.mts", platform: node, module: { module: "nodenext" } },
      { name: "nodenext, require", file: "typed.cts", platform: node, module: { module: "nodenext" } },
      { name: "bundler, Node", file: "typed.ts", platform: node, module: bundler },
      { name: "bundler, browser without Node's types", file: "typed.ts", platform: browser, module: bundler },
    ];
    for (const { name, file, platform, module } of configurations) {
      // The types of msgpackr itself need Node's.
      const subpaths = SUBPATHS.filter((path) => platform === node || !path.endsWith("/messagepack"));
      const imports = subpaths
        .map((path, i) => `import * as sub${i} from "${path}";\nvoid sub${i};\n`)
        .join("");
      const compilerOptions = { strict: true, noEmit: true, target: "es2023", ...platform, ...module };
      await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: [file] }));
      await writeFile(join(folder, file), imports + TYPED);
      t.equal(await complaintsOfTsc(folder), "", name);
      await writeFile(join(folder, file), imports + TYPED + MISTAKE);
      t.match(await complaintsOfTsc(folder), /TS2322/, `${name}: a mistake is noticed`);
    }
  });
});
