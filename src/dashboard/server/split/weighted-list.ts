/** One place among several where a resource sends requests. */
export interface WeightedBackend {
  /** Unique within its list: `reviews`, `reviews/v2` with a subset, `reviews:8080` with a port. */
  readonly name: string;
  /** Relative, at least 0. */
  readonly weight: number;
}

/** The weights of one rule of a resource, and the way to change them and nothing else. */
export interface WeightedList {
  readonly backends: readonly WeightedBackend[];
  /** The whole resource with these weights, in the order of `backends`. */
  withWeights(weights: readonly number[]): Content;
}

export type Content = Readonly<Record<string, unknown>>;
type Path = readonly (string | number)[];

interface Entry extends WeightedBackend {
  /** Where the backend stands in the resource, and the name of its field for the weight. */
  readonly at: Path;
  readonly field: string;
}

/** How a kind writes its weights. */
interface Form {
  /** Lists of backends, one for each rule. */
  readonly lists: (
    content: Content,
  ) => readonly { readonly at: Path; readonly isForAll: boolean }[];
  readonly entry: (backend: Content, siblings: number) => WeightedBackend & { field: string };
}

const FORMS: ReadonlyMap<string, Form> = new Map([
  ["VirtualService", { lists: rulesOf("http", "route", "match"), entry: istioEntry }],
  ["HTTPRoute", { lists: rulesOf("rules", "backendRefs", "matches"), entry: gatewayEntry }],
  ["GRPCRoute", { lists: rulesOf("rules", "backendRefs", "matches"), entry: gatewayEntry }],
  [
    "TrafficSplit",
    { lists: () => [{ at: ["spec", "backends"], isForAll: true }], entry: smiEntry },
  ],
  [
    "ServiceSplitter",
    { lists: () => [{ at: ["spec", "splits"], isForAll: true }], entry: consulEntry },
  ],
  ["service-splitter", { lists: flatSplits, entry: consulEntry }],
]);

/** Kinds whose weights can be changed here. */
export function isSplitKind(kind: string): boolean {
  return FORMS.has(kind);
}

/**
 * The list that decides over a resource's traffic: the only one with several backends, or among several that of the rule
 * for all requests. A text: why there is none.
 */
export function weightedListOf(kind: string, content: Content): WeightedList | string {
  const form = FORMS.get(kind);
  if (form === undefined) return `a ${kind} has no weights`;
  const lists = form.lists(content).flatMap(({ at, isForAll }) => {
    const backends = valueAt(content, at);
    if (!Array.isArray(backends) || backends.length < 2) return [];
    const entries = backends.map((backend, index): Entry => {
      return { at: [...at, index], ...form.entry(asContent(backend), backends.length) };
    });
    return [{ isForAll, entries: unique(entries) }];
  });
  if (lists.length === 0) return "it sends everything to one place: there is nothing to split";
  const [only, ...more] = lists.length === 1 ? lists : lists.filter(({ isForAll }) => isForAll);
  if (only === undefined || more.length > 0) {
    return "several of its rules split traffic, and none of them alone is for all requests";
  }
  return {
    backends: only.entries.map(({ name, weight }) => ({ name, weight })),
    withWeights: (weights) => edit(content, only.entries, weights),
  };
}

function edit(content: Content, entries: readonly Entry[], weights: readonly number[]): Content {
  const copy = structuredClone(content);
  for (const [index, { at, field }] of entries.entries()) {
    const backend = valueAt(copy, at) as Record<string, unknown>;
    backend[field] = weights[index] ?? 0;
  }
  return copy;
}

/** `spec.RULES[n].BACKENDS`; a rule without matches is for all requests. */
function rulesOf(rules: string, backends: string, matches: string): Form["lists"] {
  return (content) => {
    const found = valueAt(content, ["spec", rules]);
    if (!Array.isArray(found)) return [];
    return found.map((rule, index) => {
      const given = asContent(rule)[matches];
      const isForAll = given === undefined || (Array.isArray(given) && given.length === 0);
      return { at: ["spec", rules, index, backends], isForAll };
    });
  };
}

function flatSplits(content: Content): ReturnType<Form["lists"]> {
  const at = "Splits" in content ? "Splits" : "splits";
  return [{ at: [at], isForAll: true }];
}

function istioEntry(backend: Content, siblings: number) {
  const { host, subset, port } = asContent(backend["destination"]);
  const number = asContent(port)["number"];
  const standard = siblings === 1 ? 100 : 0;
  return { name: nameOf(host, subset, number), ...weightIn(backend, "weight", standard) };
}

function gatewayEntry(backend: Content) {
  const { name, namespace, port } = backend;
  const full = namespace === undefined ? name : `${text(namespace)}.${text(name)}`;
  return { name: nameOf(full, undefined, port), ...weightIn(backend, "weight", 1) };
}

function smiEntry(backend: Content) {
  return { name: text(backend["service"]), ...weightIn(backend, "weight", 0) };
}

/** In any of Consul's spellings. */
function consulEntry(backend: Content) {
  const service = backend["Service"] ?? backend["service"] ?? "";
  const subset =
    backend["ServiceSubset"] ?? backend["serviceSubset"] ?? backend["service_subset"] ?? undefined;
  const name = text(service) === "" ? "itself" : text(service);
  const field = "Weight" in backend ? "Weight" : "weight";
  return { name: nameOf(name, subset, undefined), ...weightIn(backend, field, 0) };
}

function weightIn(backend: Content, field: string, standard: number) {
  const given = backend[field];
  // SMI's first version has quantities: `500m` is a half.
  const [, count = "", unit] = /^(\d+(?:\.\d+)?)(m?)$/.exec(String(given ?? standard)) ?? [];
  const weight = unit === "m" ? Number(count) / 1_000 : Number(count);
  return { field, weight };
}

function nameOf(service: unknown, subset: unknown, port: unknown): string {
  const behind = subset === undefined || subset === "" ? "" : `/${text(subset)}`;
  return `${text(service)}${behind}${port === undefined ? "" : `:${text(port)}`}`;
}

function unique(entries: readonly Entry[]): Entry[] {
  const seen = new Map<string, number>();
  return entries.map((entry) => {
    const count = (seen.get(entry.name) ?? 0) + 1;
    seen.set(entry.name, count);
    return count === 1 ? entry : { ...entry, name: `${entry.name}#${count}` };
  });
}

function valueAt(content: unknown, path: Path): unknown {
  let found = content;
  for (const part of path) found = (found as Record<string | number, unknown> | null)?.[part];
  return found;
}

function asContent(value: unknown): Content {
  return typeof value === "object" && value !== null ? (value as Content) : {};
}

function text(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}
