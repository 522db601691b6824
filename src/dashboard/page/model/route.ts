/** Where the reader is: the part of the address behind `#`. */
export interface Route {
  readonly view: View;
  /** What is named behind the view, as `shop/reviews`; empty: all of them. */
  readonly name: string;
  readonly query: Readonly<Record<string, string>>;
}

export const VIEWS = ["overview", "graph", "services", "hosts", "config", "tap"] as const;
export type View = (typeof VIEWS)[number];

/** Reads a hash; what is not known is the overview. */
export function parseRoute(hash: string): Route {
  const [path = "", search = ""] = hash.replace(/^#\/?/, "").split("?");
  const [first = "", ...rest] = path.split("/").map(decode);
  const view = VIEWS.find((one) => one === first) ?? "overview";
  return { view, name: rest.join("/"), query: Object.fromEntries(new URLSearchParams(search)) };
}

export function hrefOf(
  view: View,
  name = "",
  query: Readonly<Record<string, string>> = {},
): string {
  const path = name === "" ? "" : `/${name.split("/").map(encodeURIComponent).join("/")}`;
  const kept = Object.entries(query).filter(([, value]) => value !== "");
  const search = kept.length === 0 ? "" : `?${new URLSearchParams(kept)}`;
  return `#/${view}${path}${search}`;
}

/** Addresses are typed and cut by people: a lone % must not end the page. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
