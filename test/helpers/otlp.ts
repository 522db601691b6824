import * as z from "zod";
import { spanText } from "../../src/telemetry/tracing/otlp-json.ts";
import type { Span, SpanSink } from "../../src/telemetry/tracing/span.ts";

/**
 * `ExportTraceServiceRequest` of opentelemetry-proto 1.x in its JSON form, of which nothing may be left over: names in
 * lowerCamelCase, ids in hex, 64-bit numbers as text, enumerations as numbers.
 */
const uint64 = z.string().regex(/^\d{1,20}$/);
const anyValue = z.union([
  z.strictObject({ stringValue: z.string() }),
  z.strictObject({ intValue: z.string().regex(/^-?\d{1,19}$/) }),
  z.strictObject({ doubleValue: z.number() }),
]);
const keyValue = z.strictObject({ key: z.string().min(1), value: anyValue });
const attributes = z.array(keyValue).refine((list) => {
  return new Set(list.map(({ key }) => key)).size === list.length;
}, "keys that are unique");
const isSet = (id: string) => !/^0*$/.test(id);
const spanId = z
  .string()
  .regex(/^[0-9a-f]{16}$/)
  .refine(isSet);
const span = z
  .strictObject({
    traceId: z
      .string()
      .regex(/^[0-9a-f]{32}$/)
      .refine(isSet),
    spanId,
    parentSpanId: spanId.optional(),
    traceState: z.string().optional(),
    flags: z.number().int().min(0).max(0xffff_ffff),
    name: z.string().min(1),
    kind: z.number().int().min(1).max(5),
    startTimeUnixNano: uint64,
    endTimeUnixNano: uint64,
    attributes,
    events: z
      .array(z.strictObject({ timeUnixNano: uint64, name: z.string().min(1), attributes }))
      .optional(),
    status: z.strictObject({
      code: z.number().int().min(0).max(2).optional(),
      message: z.string().optional(),
    }),
  })
  .refine(
    (one) => BigInt(one.endTimeUnixNano) >= BigInt(one.startTimeUnixNano),
    "ends after it began",
  );
const schemaUrl = z.url();
const scope = z.strictObject({ name: z.string(), version: z.string() });
const scopeSpans = z.array(z.strictObject({ scope, spans: z.array(span).min(1), schemaUrl }));
const resource = z.strictObject({ attributes });
const request = z.strictObject({
  resourceSpans: z.array(z.strictObject({ resource, scopeSpans, schemaUrl })).min(1),
});

/** A span with its attributes, and its resource's, by name. */
export interface SeenSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parent: string;
  readonly name: string;
  readonly kind: "server" | "client";
  readonly flags: number;
  readonly traceState: string;
  readonly failed: boolean;
  readonly message: string;
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly events: readonly Readonly<Record<string, string | number>>[];
  readonly resource: Readonly<Record<string, string | number>>;
}

function named(list: z.infer<typeof attributes>): Record<string, string | number> {
  return Object.fromEntries(
    list.map(({ key, value }) => [
      key,
      "intValue" in value
        ? Number(value.intValue)
        : (Object.values<string | number>(value)[0] ?? ""),
    ]),
  );
}

/** The spans of an export. Throws where it is no export as the schema has it. */
export function readExport(text: string): SeenSpan[] {
  const { resourceSpans } = request.parse(JSON.parse(text));
  return resourceSpans.flatMap((group) =>
    group.scopeSpans.flatMap(({ spans }) =>
      spans.map((one) => ({
        ...{ traceId: one.traceId, spanId: one.spanId, parent: one.parentSpanId ?? "" },
        ...{ name: one.name, kind: one.kind === 2 ? ("server" as const) : ("client" as const) },
        ...{ flags: one.flags, traceState: one.traceState ?? "" },
        ...{ failed: one.status.code === 2, message: one.status.message ?? "" },
        ...{ startNs: BigInt(one.startTimeUnixNano), endNs: BigInt(one.endTimeUnixNano) },
        attributes: named(one.attributes),
        events: (one.events ?? []).map((event) => ({
          name: event.name,
          ...named(event.attributes),
        })),
        resource: named(group.resource.attributes),
      })),
    ),
  );
}

/** Keeps what it takes, and finds fault with what is no OTLP. */
export class SpanProbe implements SpanSink {
  readonly spans: SeenSpan[] = [];

  add(resourceList: string, span: Span): void {
    const url = "https://opentelemetry.io/schemas/1.39.0";
    const scoped = `{"scope":{"name":"","version":""},"spans":[${spanText(span)}],"schemaUrl":"${url}"}`;
    const whole = `{"resource":{"attributes":${resourceList}},"scopeSpans":[${scoped}],"schemaUrl":"${url}"}`;
    this.spans.push(...readExport(`{"resourceSpans":[${whole}]}`));
  }
}
