/**
 * HTML that is safe to put into a page: only `html` makes it, and `html` escapes every value that is not Markup
 * itself. Attributes must be written in double quotes.
 */
export class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

export type Content = Markup | string | number | undefined | readonly Content[];

/** A template tag. Values are escaped for text and for quoted attributes; lists are joined; undefined is nothing. */
export function html(literals: TemplateStringsArray, ...values: readonly Content[]): Markup {
  let text = literals[0] ?? "";
  for (const [index, value] of values.entries()) text += render(value) + (literals[index + 1] ?? "");
  return new Markup(text);
}

export function escapeHtml(text: string): string {
  return text
    .replace(CONTROL_CHARACTERS, "\uFFFD")
    .replace(/[&<>"']/g, (character) => ENTITIES[character] ?? "");
}

/** The content of a `style` element: nothing in it is escaped, so it must be our own. */
export function stylesheet(css: string): Markup {
  if (css.includes("</")) throw new Error("a style sheet must not close its element");
  return new Markup(`<style>\n${css}</style>`);
}

/** A number for an attribute: at most two decimals. */
export function decimal(value: number): string {
  return String(Math.round(value * 100) / 100);
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
/** HTML has no way to write them, not even escaped. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is they that are replaced
const CONTROL_CHARACTERS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g;

function render(content: Content): string {
  if (content === undefined) return "";
  if (content instanceof Markup) return content.text;
  if (typeof content === "string") return escapeHtml(content);
  if (typeof content === "number") return String(content);
  return content.map(render).join("");
}
