/** What a strict reader of markup would complain about: a light check for pages that we write ourselves. */
const VOID_ELEMENTS = new Set(["meta", "br", "hr", "img", "input", "link"]);
const TAG = /<(\/?)([a-zA-Z][\w-]*)((?:\s+[\w:-]+="[^"<>]*")*)\s*(\/?)>/y;

/** Every element closed in the order in which it was opened, attributes in quotes, no loose `<`. */
export function findMarkupProblem(page: string): string | undefined {
  const open: string[] = [];
  let position = page.startsWith("<!doctype html>") ? "<!doctype html>".length : 0;
  if (position === 0) return "no doctype";
  for (;;) {
    const next = page.indexOf("<", position);
    const text = page.slice(position, next < 0 ? undefined : next);
    if (open.at(-1) !== "style" && /&(?!(?:amp|lt|gt|quot|#39);)/.test(text)) return `loose & in ${text}`;
    if (text.includes(">") && open.at(-1) !== "style") return `loose > in ${text}`;
    if (next < 0) break;
    TAG.lastIndex = next;
    const tag = TAG.exec(page);
    if (tag === null) return `no tag at ${page.slice(next, next + 60)}`;
    const [whole, closing, name = "", , selfClosing] = tag;
    if (closing === "/") {
      const expected = open.pop();
      if (expected !== name) return `</${name}> closes <${expected}> at ${page.slice(next - 60, next + 20)}`;
    } else if (selfClosing !== "/" && !VOID_ELEMENTS.has(name)) {
      open.push(name);
    }
    position = next + whole.length;
  }
  return open.length === 0 ? undefined : `never closed: ${open.join(" ")}`;
}

/** The text and the attributes of a page that a browser would fetch something for. */
export function externalReferences(page: string): string[] {
  return Array.from(
    page.matchAll(
      /(?:\b(?:src|srcset|href|data|action|poster|xlink:href)="(?!#)[^"]*"|@import|url\(|<script|<link|<img)/gi,
    ),
    ([match]) => match,
  );
}
