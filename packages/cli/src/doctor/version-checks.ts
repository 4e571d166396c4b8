import { release } from "node:os";
import type { Check } from "./check.ts";

/** What the packages' `engines` say. */
const NODE_VERSIONS = "20.19 or later 20, 22.12 or later 22, or 24 and later";

/** @param node such as `20.19.4` */
export function nodeVersionCheck(node: string): Check {
  const [major = 0, minor = 0] = node.split(".").map(Number);
  const isSupported = (major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major >= 24;
  const sentence = `Node ${node} on ${process.platform} ${release()}, ${process.arch}`;
  if (isSupported) return { name: "versions", state: "ok", sentence };
  return { name: "versions", state: "failed", sentence, advice: `use Node ${NODE_VERSIONS}` };
}

/** Undefined where it is what it should be: Linux. */
export function platformCheck(platform: string): Check | undefined {
  if (platform === "linux") return undefined;
  const sentence = `${platform} is not what Millrace is tested on`;
  return { name: "versions", state: "warning", sentence, advice: "run brokers that matter on Linux" };
}

/** The WebSocket module is native: not every platform has it. */
export async function nativeModuleCheck(): Promise<Check> {
  const { requireNativeModule } = await import("@millrace/gateway/internal");
  try {
    requireNativeModule();
    return { name: "versions", state: "ok", sentence: "uWebSockets.js can be loaded" };
  } catch (error) {
    return { name: "versions", state: "failed", sentence: (error as Error).message };
  }
}
