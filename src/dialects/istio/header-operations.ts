import * as z from "zod";
import type { HeaderEdits } from "../../core/traffic.ts";
import { differently, honoured } from "../support.ts";
import { headerNameField } from "../value-fields.ts";

const MAX_EDITS = 64;
/** Envoy puts facts in place of these: `%DOWNSTREAM_REMOTE_ADDRESS%`, `%REQ(x-id)%`. */
const COMMAND = /%[A-Z][A-Z0-9_]*(?:\([^)]*\))?(?::\d+)?%/;

const valueField = z
  .string()
  .max(8_192)
  .transform((text, context) => {
    const refuse = (message: string) => {
      context.addIssue({ code: "custom", message });
      return z.NEVER;
    };
    if (/[^\t\x20-\x7e\x80-\xff]/.test(text)) return refuse("must be text of one line, in Latin-1");
    const command = COMMAND.exec(text.replaceAll("%%", ""))?.[0];
    if (command !== undefined) return refuse(`${command}: Envoy's variables are not known here`);
    return text.replaceAll("%%", "%");
  });

const authorityName = /^(?::authority|host)$/i;
const nameField = z
  .string()
  .refine((name) => authorityName.test(name) || headerNameField.safeParse(name).success, {
    message: "must be a header name",
  });
const mapField = z
  .record(nameField, valueField)
  .refine((map) => Object.keys(map).length <= MAX_EDITS, {
    message: `at most ${MAX_EDITS} headers are taken`,
  });
const variables = "Envoy's variables (`%REQ(...)%`) are refused; `%%` is a percent sign";

const removedField = headerNameField.refine((name) => name !== "host", {
  message: "Host cannot be removed: every request has one",
});

const operationsField = z.strictObject({
  set: differently(mapField, `\`Host\` of a request: rewrites the authority; ${variables}`).default(
    {},
  ),
  add: differently(mapField, variables).default({}),
  remove: honoured(
    z.array(removedField).max(MAX_EDITS),
    "`Host` is refused, as Envoy does",
  ).default([]),
});

export const headersField = z.strictObject({
  request: operationsField.optional(),
  response: operationsField.optional(),
});

export interface HeaderOperations {
  readonly request?: HeaderEdits;
  readonly response?: HeaderEdits;
  /** The new authority, which Istio lets be written as a header. */
  readonly authority?: string;
}

export function toOperations(headers: z.infer<typeof headersField> | undefined): HeaderOperations {
  const request = toEdits(headers?.request);
  const response = toEdits(headers?.response);
  const { set = {}, add = {} } = headers?.request ?? {};
  const [, authority] =
    [...Object.entries(set), ...Object.entries(add)].find(([name]) => authorityName.test(name)) ??
    [];
  return {
    ...(request === null ? {} : { request }),
    ...(response === null ? {} : { response }),
    ...(authority === undefined ? {} : { authority }),
  };
}

function toEdits(operations: z.infer<typeof operationsField> | undefined): HeaderEdits | null {
  if (operations === undefined) return null;
  const pairs = (map: Readonly<Record<string, string>>) =>
    Object.entries(map).filter(([name]) => !authorityName.test(name));
  const set = pairs(operations.set);
  const add = pairs(operations.add);
  const { remove } = operations;
  if (set.length + add.length + remove.length === 0) return null;
  return {
    ...(set.length > 0 ? { set } : {}),
    ...(add.length > 0 ? { add } : {}),
    ...(remove.length > 0 ? { remove } : {}),
  };
}
