import type { CST } from "yaml";

/**
 * Where collections stand in collections deeper than `depthMax`: the character, or undefined where they do not. Looks
 * without recursion at what the parser has found, since what composes it does so with recursion: past some thousands of
 * levels that ends with the process, out of memory, not with an exception.
 */
export function positionTooDeep(tokens: readonly CST.Token[], depthMax: number): number | undefined {
  const open = tokens.map((token) => ({ token, depth: 0 }));
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { token, depth } = next;
    if (depth > depthMax) return token.offset;
    for (const inner of tokensIn(token)) open.push({ token: inner, depth: depth + 1 });
  }
  return undefined;
}

function tokensIn(token: CST.Token): CST.Token[] {
  if (token.type === "document") return token.value === undefined ? [] : [token.value];
  if (token.type !== "block-map" && token.type !== "block-seq" && token.type !== "flow-collection") return [];
  return token.items.flatMap(({ key, value }) => [key, value].filter((one) => one != null));
}
