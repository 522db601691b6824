/** A span, and the resource that it is of, as `SpanBuffer` hands them over. */
export interface WaitingSpan {
  /** A JSON list of attributes. */
  readonly resource: string;
  readonly span: string;
}

/** Version of the semantic conventions that names and attributes follow. */
const SCHEMA_URL = "https://opentelemetry.io/schemas/1.39.0";

/**
 * The body of an export: `ExportTraceServiceRequest` in JSON, spans grouped by their resource. `hostAttributes` is a JSON list of
 * attributes that all resources have.
 */
export function exportBody(
  spans: readonly WaitingSpan[],
  hostAttributes: string,
  version: string,
): string {
  const groups = new Map<string, string[]>();
  for (const { resource, span } of spans) {
    const group = groups.get(resource);
    if (group === undefined) groups.set(resource, [span]);
    else group.push(span);
  }
  const scope = `{"name":"hostmesh","version":${JSON.stringify(version)}}`;
  const resources = [...groups].map(([resource, group]) => {
    const attributes = `${resource.slice(0, -1)},${hostAttributes.slice(1)}`;
    const spansOfScope = `{"scope":${scope},"spans":[${group.join(",")}],"schemaUrl":"${SCHEMA_URL}"}`;
    return `{"resource":{"attributes":${attributes}},"scopeSpans":[${spansOfScope}],"schemaUrl":"${SCHEMA_URL}"}`;
  });
  return `{"resourceSpans":[${resources.join(",")}]}`;
}
