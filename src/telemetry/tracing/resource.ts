import { attributesText } from "./otlp-json.ts";

/** Whose a span is: a workload, or a service of which no workload is known. */
export interface SpanOwner {
  readonly namespace: string;
  readonly name: string;
  /** Tells it from others of its name. */
  readonly instance: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Labels that name an application, and its version, the first that is there: Istio's, Kubernetes' recommended, and the usual. */
const NAME_LABELS = ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"];
const VERSION_LABELS = [
  "service.istio.io/canonical-revision",
  "app.kubernetes.io/version",
  "version",
];
/** What OpenTelemetry wants for a service that has no name. */
const UNKNOWN = "unknown_service";

function labelled(owner: SpanOwner, names: readonly string[]): string | undefined {
  return names.map((name) => owner.labels[name]).find((value) => (value ?? "") !== "");
}

/** The attributes of a resource, as a JSON list; null: it is not known whose. The host's name is the same for all, and comes later. */
export function resourceText(owner: SpanOwner | null): string {
  if (owner === null) return attributesText(["service.name", UNKNOWN]);
  const version = labelled(owner, VERSION_LABELS);
  return attributesText([
    ...["service.name", labelled(owner, NAME_LABELS) ?? owner.name],
    ...["service.namespace", owner.namespace],
    ...["service.instance.id", owner.instance],
    ...(version === undefined ? [] : ["service.version", version]),
  ]);
}
