import { formDecoded } from "./token-places.ts";

/** An origin-form path without the query parameters of these names; the same string where none is there. */
export function withoutParams(path: string, names: readonly string[]): string {
  const query = path.indexOf("?");
  if (query === -1) return path;
  const pairs = path.slice(query + 1).split("&");
  const kept = pairs.filter((pair) => !names.includes(formDecoded(nameOf(pair))));
  if (kept.length === pairs.length) return path;
  return path.slice(0, query) + (kept.length === 0 ? "" : `?${kept.join("&")}`);
}

/** Value of a Cookie field without the cookies of these names; `""`: nothing is left of it. */
export function withoutCookies(value: string, names: readonly string[]): string {
  const pairs = value.split(";");
  const kept = pairs.filter((pair) => !names.includes(nameOf(pair).trim()));
  return kept.length === pairs.length ? value : kept.join(";").trim();
}

function nameOf(pair: string): string {
  const equals = pair.indexOf("=");
  return equals === -1 ? pair : pair.slice(0, equals);
}
