import type { CallNode, FrameKind } from "./call-tree.ts";

const WIDTH = 1200;
const ROW_HEIGHT = 16;
const HEAD_HEIGHT = 40;
const CHARACTER_WIDTH = 6.6;
/** Narrower calls are left out: they cannot be seen, and make the file large. */
const SHARE_MIN = 0.003;

/** Distinct for the colour-blind too: blue, grey, orange. */
const COLOURS: Readonly<Record<FrameKind, string>> = {
  javascript: "#8ab6e8",
  native: "#c9c9c9",
  kernel: "#f2b278",
};

/** Draws a flame graph (outermost call at the bottom, width = share of the thread's samples) as one SVG file. */
export function drawFlameGraph(title: string, root: CallNode): string {
  const depth = depthOf(root, root.samples * SHARE_MIN);
  const height = HEAD_HEIGHT + depth * ROW_HEIGHT + 8;
  const boxes: string[] = [];
  const draw = (node: CallNode, left: number, level: number): void => {
    const width = (node.samples / root.samples) * WIDTH;
    boxes.push(drawBox(node, root.samples, left, height - 8 - (level + 1) * ROW_HEIGHT, width));
    let at = left;
    for (const call of [...node.calls.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (call.samples >= root.samples * SHARE_MIN) draw(call, at, level + 1);
      at += (call.samples / root.samples) * WIDTH;
    }
  };
  draw(root, 0, 0);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="monospace" font-size="11">`,
    `<title>${escapeXml(title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    `<text x="4" y="15" font-size="13" fill="#222222">${escapeXml(title)}</text>`,
    `<text x="4" y="31" fill="#555555">${root.samples} samples; blue JavaScript, grey native code, orange kernel</text>`,
    ...boxes,
    "</svg>",
    "",
  ].join("\n");
}

function drawBox(node: CallNode, total: number, left: number, top: number, width: number): string {
  const share = `${((node.samples / total) * 100).toFixed(1)} %`;
  const letters = Math.floor((width - 4) / CHARACTER_WIDTH);
  const label =
    letters < 3 ? "" : node.name.length <= letters ? node.name : `${node.name.slice(0, letters - 1)}…`;
  const x = left.toFixed(1);
  const box =
    `<rect x="${x}" y="${top}" width="${Math.max(0.5, width - 0.5).toFixed(1)}" height="${ROW_HEIGHT - 1}" ` +
    `fill="${COLOURS[node.kind]}"/>`;
  const text =
    label === ""
      ? ""
      : `<text x="${(left + 2).toFixed(1)}" y="${top + 11}" fill="#111111">${escapeXml(label)}</text>`;
  return `<g><title>${escapeXml(node.name)} ${share}</title>${box}${text}</g>`;
}

function depthOf(node: CallNode, samplesMin: number): number {
  let deepest = 0;
  for (const call of node.calls.values()) {
    if (call.samples >= samplesMin) deepest = Math.max(deepest, depthOf(call, samplesMin));
  }
  return deepest + 1;
}

function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
