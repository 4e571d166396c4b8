import { addSample, type CallNode, emptyTree, type FrameKind, type StackFrame } from "./call-tree.ts";

/**
 * Reads what `perf script -F tid,ip,sym,dso` prints: for each sample a line with the thread's id, then a line a frame,
 * innermost first (`address symbol (object)`), then an empty line. Returns a tree a thread.
 */
export async function readPerfScript(
  lines: AsyncIterable<string> | Iterable<string>,
): Promise<Map<number, CallNode>> {
  const threads = new Map<number, CallNode>();
  let thread: number | undefined;
  let stack: StackFrame[] = [];
  const finish = (): void => {
    if (thread !== undefined && stack.length > 0) {
      let tree = threads.get(thread);
      if (tree === undefined) {
        tree = emptyTree("all");
        threads.set(thread, tree);
      }
      addSample(tree, stack);
    }
    thread = undefined;
    stack = [];
  };
  for await (const line of lines) {
    const text = line.trim();
    if (text === "") finish();
    else if (thread === undefined) thread = Number.parseInt(text, 10);
    else {
      const frame = readFrame(text);
      if (frame !== undefined) stack.push(frame);
    }
  }
  finish();
  return threads;
}

const FRAME = /^([0-9a-f]+) (.*) \((.*)\)$/;
/** What Node's own machinery puts around every call; leaving it out keeps the picture readable. */
const TRAMPOLINES =
  /^(Builtins_(JSEntry|InterpreterEntryTrampoline|ArgumentsAdaptor|CallFunction|Call_)|\[unknown\])/;

function readFrame(text: string): StackFrame | undefined {
  const match = FRAME.exec(text);
  if (match === null) return undefined;
  const [, , symbol = "", object = ""] = match;
  if (TRAMPOLINES.test(symbol)) return undefined;
  return { name: frameName(symbol), kind: frameKind(symbol, object) };
}

function frameKind(symbol: string, object: string): FrameKind {
  if (object.includes("kernel") || object.startsWith("[k")) return "kernel";
  return symbol.startsWith("JS:") || symbol.startsWith("Function:") ? "javascript" : "native";
}

/** `JS:*#verify file:///…/packages/broker/dist/src/shard/publisher.js:123:12` becomes `#verify broker/shard/publisher`. */
function frameName(symbol: string): string {
  // The name may hold a space ("get byteLength"), and may be missing; WebAssembly has no path.
  const script = /^(?:JS|Function):[*^~+']*(?:(.*) )?(?:file:\/\/)?(\S*?)(?::\d+)*$/.exec(symbol);
  if (script !== null) {
    const [, name, path = ""] = script;
    const shown = path
      .replace(/^.*\/node_modules\//, "")
      .replace(/^.*\/packages\//, "")
      .replace("/dist/src/", "/")
      .replace(/\.js$/, "");
    if (name === undefined) return shown;
    return `${name === "" ? "(anonymous)" : name} ${shown}`.trim();
  }
  // Parameter lists and template arguments make names of native code unreadable.
  return symbol.replace(/\(.*$/, "").replace(/<.*>/, "<>").slice(0, NAME_LENGTH_MAX);
}

const NAME_LENGTH_MAX = 80;
