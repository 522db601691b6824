/** Fields whose texts are names that somebody has chosen. */
const NAME_FIELDS = new Set([
  "name",
  "namespace",
  "host",
  "hosts",
  "service",
  "serviceAccount",
  "account",
  "workload",
  "source",
  "destination",
  "zone",
  "region",
  "subset",
  "hostname",
  "trustDomain",
]);
/** Fields whose own fields have such texts, whatever their names. */
const LABEL_FIELDS = new Set(["labels", "matchLabels", "selector", "sourceLabels"]);
/** A number, an address or a template of one is no name, and neither is the kind of a resource. */
const NO_NAME = /^(?:[\d.:[\]/*-]*|.|[A-Z]\w+)$/;

/** Every name in plain data, and the parts of names that are put together with slashes or dots. */
export function namesIn(value: unknown): Set<string> {
  const names = new Set<string>();
  for (const text of textsIn(value, "")) {
    for (const name of partsOf(text)) if (!NO_NAME.test(name)) names.add(name);
  }
  return names;
}

function* textsIn(value: unknown, field: string): Generator<string> {
  if (typeof value === "string") {
    if (NAME_FIELDS.has(field)) yield value;
  } else if (Array.isArray(value)) {
    for (const each of value) yield* textsIn(each, field);
  } else if (typeof value === "object" && value !== null) {
    const isLabels = LABEL_FIELDS.has(field);
    for (const [name, below] of Object.entries(value)) {
      yield* textsIn(below, isLabels ? "name" : name);
    }
  }
}

/** `HTTPRoute shop/web`, `web.shop.svc.cluster.local`, `spiffe://...`: whole, and each part of it. */
function partsOf(text: string): string[] {
  const words = text.split(/[/\s#:]+/).map((word) => word.replace(/\.svc(\.cluster\.local)?$/, ""));
  return [text, ...words, ...words.flatMap((word) => word.split("."))];
}
