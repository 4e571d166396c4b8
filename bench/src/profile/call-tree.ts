/** Samples of one thread, merged by their stacks from the outermost call inwards. */
export interface CallNode {
  readonly name: string;
  readonly kind: FrameKind;
  /** Samples in this call, those of the calls inside it included. */
  samples: number;
  readonly calls: Map<string, CallNode>;
}

export type FrameKind = "javascript" | "native" | "kernel";

export interface StackFrame {
  readonly name: string;
  readonly kind: FrameKind;
}

export function emptyTree(name: string): CallNode {
  return { name, kind: "native", samples: 0, calls: new Map() };
}

/** Adds one sample; `stack` is innermost first, as perf prints it. */
export function addSample(root: CallNode, stack: readonly StackFrame[]): void {
  root.samples++;
  let node = root;
  for (let index = stack.length - 1; index >= 0; index--) {
    const frame = stack[index] as StackFrame;
    // A frame of the same name right inside itself (recursion, the interpreter's trampolines) says nothing more.
    if (frame.name === node.name) continue;
    let call = node.calls.get(frame.name);
    if (call === undefined) {
      call = { name: frame.name, kind: frame.kind, samples: 0, calls: new Map() };
      node.calls.set(frame.name, call);
    }
    call.samples++;
    node = call;
  }
}

/** Share of the tree's samples that were taken in calls of each name themselves, largest first. */
export function selfShares(root: CallNode): { name: string; kind: FrameKind; share: number }[] {
  const self = new Map<string, { name: string; kind: FrameKind; samples: number }>();
  const visit = (node: CallNode): void => {
    let inside = 0;
    for (const call of node.calls.values()) {
      inside += call.samples;
      visit(call);
    }
    const entry = self.get(node.name) ?? { name: node.name, kind: node.kind, samples: 0 };
    entry.samples += node.samples - inside;
    self.set(node.name, entry);
  };
  visit(root);
  return [...self.values()]
    .filter(({ samples }) => samples > 0)
    .sort((a, b) => b.samples - a.samples)
    .map(({ name, kind, samples }) => ({ name, kind, share: samples / root.samples }));
}
