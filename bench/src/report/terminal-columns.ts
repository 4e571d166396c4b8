/** A cell of a table of plain text. */
export interface Cell {
  readonly text: string;
  /** Flush right, as numbers are. */
  readonly right?: boolean;
  /** Longer text is cut there. */
  readonly max?: number;
}

const GAP = "  ";
const CUT = "…";

/** Lines of equal columns; a string is a line of its own between them. What is wider than `width` is cut. */
export function alignColumns(rows: readonly (readonly Cell[] | string)[], width: number): string[] {
  const tables = rows.filter((row) => typeof row !== "string");
  const widths: number[] = [];
  for (const cells of tables)
    for (const [index, cell] of cells.entries())
      widths[index] = Math.max(widths[index] ?? 0, textOf(cell).length);
  return rows.map((row) => {
    if (typeof row === "string") return cut(oneLine(row), width);
    const padded = row.map((cell, index) => {
      const room = widths[index] ?? 0;
      return cell.right === true ? textOf(cell).padStart(room) : textOf(cell).padEnd(room);
    });
    return cut(padded.join(GAP).trimEnd(), width);
  });
}

/** Breaks a text at spaces; lines after the first begin with `indent`. */
export function fold(text: string, width: number, indent: string): string[] {
  const lines: string[] = [];
  let rest = text;
  while (rest.length > width) {
    const space = rest.lastIndexOf(" ", width);
    const at = space > indent.length ? space : width;
    lines.push(rest.slice(0, at));
    rest = indent + rest.slice(at).trimStart();
  }
  return [...lines, rest];
}

/** Without line breaks and control characters: text of others must not steer the terminal. */
export function oneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, " ");
}

function textOf({ text, max }: Cell): string {
  return cut(oneLine(text), max);
}

function cut(text: string, max: number | undefined): string {
  return max === undefined || text.length <= max ? text : text.slice(0, max - 1) + CUT;
}
