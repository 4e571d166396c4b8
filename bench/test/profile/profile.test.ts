import t from "tap";
import { type CallNode, selfShares } from "../../src/profile/call-tree.ts";
import { drawFlameGraph } from "../../src/profile/flame-graph.ts";
import { readPerfScript } from "../../src/profile/perf-script.ts";

const SCRIPT = `
 101
	ffffffff81b6d5ed copy_folio_from_iter_atomic ([kernel.kallsyms])
	          13c477a node::fs::WriteBuffer(v8::FunctionCallbackInfo<v8::Value> const&) (/usr/bin/node)
	    7f0000000002 JS:*flush file:///home/x/packages/journal/dist/src/journal.js:10:3 ([JIT] tid 7)
	    7f0000000001 Builtins_JSEntry (/usr/bin/node)

 101
	    7f0000000003 JS:^verify<a> file:///home/x/packages/broker/dist/src/shard/publisher.js:1:2 ([JIT] tid 7)
	    7f0000000002 JS:*flush file:///home/x/packages/journal/dist/src/journal.js:10:3 ([JIT] tid 7)

 102
	    7f0000000004 JS:*get byteLength file:///home/x/packages/protocol/dist/src/batch-builder.js:9:1 ([JIT] tid 7)

 102
	    7f0000000005 JS:wasm-function[0]-0-turbofan ([JIT] tid 7)

 102
	       0 [unknown] ([unknown])
	    abc1 main (/usr/bin/node)
`.split("\n");

t.test("samples become a tree a thread, without trampolines and without the machine's paths", async (t) => {
  const threads = await readPerfScript(SCRIPT);
  t.same([...threads.keys()], [101, 102]);
  const root = threads.get(101) as CallNode;
  t.equal(root.samples, 2);
  const flush = root.calls.get("flush journal/journal") as CallNode;
  t.match(flush, { samples: 2, kind: "javascript" });
  t.same([...flush.calls.keys()].sort(), ["node::fs::WriteBuffer", "verify<a> broker/shard/publisher"]);
  t.same([...(threads.get(102) as CallNode).calls.keys()].sort(), [
    "get byteLength protocol/batch-builder",
    "main",
    "wasm-function[0]-0-turbofan",
  ]);
  t.match(selfShares(root), [
    { name: "copy_folio_from_iter_atomic", kind: "kernel", share: 0.5 },
    { name: "verify<a> broker/shard/publisher", share: 0.5 },
  ]);
});

t.test("a flame graph is one well-formed file with every name escaped", async (t) => {
  const root = (await readPerfScript(SCRIPT)).get(101) as CallNode;
  const svg = drawFlameGraph("shard <1>", root);
  t.match(svg, /^<svg [^>]*>/);
  t.match(svg, "shard &#60;1&#62;");
  t.match(svg, "verify&#60;a&#62;");
  t.equal(svg.match(/<g>/g)?.length, svg.match(/<\/g>/g)?.length);
  t.notMatch(svg, /home/);
});
