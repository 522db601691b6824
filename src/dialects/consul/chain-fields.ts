import * as z from "zod";
import { sumOfParts } from "../../core/durations.ts";
import type { HeaderEdits } from "../../core/traffic.ts";
import { namespaceName } from "../envelope.ts";
import { differently, honoured } from "../support.ts";
import { headerNameField } from "../value-fields.ts";
import { unset } from "./http-fields.ts";
import { partitionField, serviceName } from "./intention-fields.ts";

const MAX_HEADERS = 64;
const MAX_MS = 86_400_000;

/** A duration of Go (`1m30s`; a number is nanoseconds), in ms; absent where it is nothing. */
export const goDuration = z
  .union([z.string(), z.number()], { error: "must be a duration such as 5s" })
  .transform((value, context) => {
    const ms = typeof value === "number" ? value * 1e-6 : msOf(value);
    if (ms === 0) return undefined;
    if (ms !== null && ms >= 1 && ms <= MAX_MS) return Math.round(ms);
    context.addIssue({ code: "custom", message: "must be a duration such as 5s, 1ms to 24h" });
    return z.NEVER;
  });

function msOf(text: string): number | null {
  return text === "0" ? 0 : sumOfParts(text, /(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g);
}

/** Only an empty text: what it would name does not exist here. */
export function only(reason: string) {
  return differently(z.literal("", { error: reason }), `refused: ${reason}`).optional();
}

const NO_DATACENTER =
  "there is one datacenter: register the other's instances as a service of their own and name that";

export const subsetName = z
  .string()
  .regex(
    /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
    "must be the name of a subset: lower-case letters, digits and -",
  );

/** A place where requests may go, as routers, splitters, redirects and failovers name it. */
export const targetFields = {
  service: honoured(z.union([unset, serviceName]), "default: the entry's own").optional(),
  serviceSubset: honoured(
    z.union([unset, subsetName]),
    "default: the `defaultSubset` of the service",
  ).optional(),
  namespace: honoured(z.union([unset, namespaceName]), "default: the entry's").optional(),
  partition: partitionField,
};
export const remoteFields = {
  datacenter: only(NO_DATACENTER),
  peer: only("there are no peers"),
};
export const noSamenessGroup = only("there are no sameness groups");

export interface TargetFields {
  readonly service?: string | undefined;
  readonly serviceSubset?: string | undefined;
  readonly namespace?: string | undefined;
}

const NO_VARIABLES = "Envoy's %VARIABLES% are not filled in: write the text itself, `%%` for a %";
const headerValue = z
  .string()
  .max(4_096)
  .regex(/^[\t\x20-\x7e\x80-\xff]*$/, "must be a header value")
  .refine((text) => !/%/.test(text.replaceAll("%%", "")), { message: NO_VARIABLES })
  .transform((text) => text.replaceAll("%%", "%"));
const headerMap = differently(
  z
    .record(headerNameField, headerValue)
    .refine((map) => Object.keys(map).length <= MAX_HEADERS, `at most ${MAX_HEADERS} headers`),
  NO_VARIABLES,
);

/** What is done to the headers of requests or responses. */
export const headersField = z.strictObject({
  add: headerMap.optional(),
  set: headerMap.optional(),
  remove: honoured(z.array(headerNameField).max(MAX_HEADERS)).optional(),
});
type HeadersField = z.infer<typeof headersField>;

export function toHeaderEdits(field: HeadersField | undefined): HeaderEdits | undefined {
  const { add = {}, set = {}, remove = [] } = field ?? {};
  const edits: HeaderEdits = {
    ...(Object.keys(set).length === 0 ? {} : { set: Object.entries(set) }),
    ...(Object.keys(add).length === 0 ? {} : { add: Object.entries(add) }),
    ...(remove.length === 0 ? {} : { remove }),
  };
  return Object.keys(edits).length === 0 ? undefined : edits;
}

/** First the outer's, then the inner's, which has the last word on a header. */
export function joinEdits(
  outer: HeaderEdits | undefined,
  inner: HeaderEdits | undefined,
): HeaderEdits | undefined {
  if (outer === undefined || inner === undefined) return inner ?? outer;
  const isKept = ([name]: readonly [string, string]) => !inner.remove?.includes(name);
  const joined = new Map([...(outer.set ?? []).filter(isKept), ...(inner.set ?? [])]);
  const add = [...(outer.add ?? []).filter(isKept), ...(inner.add ?? [])];
  const remove = [...new Set([...(outer.remove ?? []), ...(inner.remove ?? [])])];
  return {
    ...(joined.size === 0 ? {} : { set: [...joined] }),
    ...(add.length === 0 ? {} : { add }),
    ...(remove.length === 0 ? {} : { remove }),
  };
}
