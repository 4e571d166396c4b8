import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { RunContext } from "../harness/bench-row.ts";
import type { TransferResult, TransferSpec } from "./transfer/transfer-spec.ts";

const run = promisify(execFile);

/** From bench/dist/src/core to the sources, which are not compiled by tsc. */
const PROJECT = fileURLToPath(new URL("../../../src/core/native/Cargo.toml", import.meta.url));
const BUILD_TIMEOUT_MS = 180_000;

/** `rtrb`, a ring of the same kind in Rust, built from its public package when it is first asked for. */
export class NativePeer {
  readonly #folder: string;
  readonly #say: (text: string) => void;
  #built: Promise<string> | undefined;

  constructor({ folder, progress }: RunContext) {
    this.#folder = join(folder, "native");
    this.#say = progress.say;
  }

  /** undefined once it can run; otherwise why it cannot. */
  async missing(): Promise<string | undefined> {
    try {
      await this.#build();
      return undefined;
    } catch (error) {
      const { code, stderr, message } = error as NodeJS.ErrnoException & { stderr?: string };
      if (code === "ENOENT") return "skipped: there is no cargo on this machine";
      const last = (stderr ?? message).trim().split("\n").slice(-3).join(" ");
      return `skipped: cargo could not build rtrb (${last})`;
    }
  }

  /** One sample in a process of its own. */
  async transfer(spec: TransferSpec): Promise<TransferResult> {
    const program = await this.#build();
    const mode = spec.carrier === "ring-claim" ? "in-place" : "copy";
    const numbers = [spec.recordBytes, spec.batchRecords, spec.capacityBytes, spec.warmUpMs, spec.durationMs];
    const { stdout } = await run(program, [mode, ...numbers.map(String)]);
    return JSON.parse(stdout) as TransferResult;
  }

  #build(): Promise<string> {
    this.#built ??= this.#compile();
    return this.#built;
  }

  async #compile(): Promise<string> {
    this.#say("building rtrb");
    const args = ["build", "--release", "--locked", "--manifest-path", PROJECT, "--target-dir", this.#folder];
    await run("cargo", args, { timeout: BUILD_TIMEOUT_MS });
    return join(this.#folder, "release", process.platform === "win32" ? "rtrb-peer.exe" : "rtrb-peer");
  }
}
