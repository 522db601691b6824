import * as z from "zod";
import { parseHostPort } from "../../core/address.ts";
import type { Redirect, Rewrite } from "../../core/traffic.ts";
import { regexField } from "../regex-field.ts";
import { differently, honoured } from "../support.ts";
import type { Work } from "../translator.ts";
import { portField } from "../value-fields.ts";

const uriText = z
  .string()
  .max(2_048)
  .regex(/^[\x21-\x7e]+$/, "must be visible ASCII characters");

/** A host with or without a port. */
const authorityField = z
  .string()
  .max(260)
  .refine((text) => parseHostPort(text, 80) !== null, {
    message: "must be a host, with or without a port",
  });

export const redirectField = z.strictObject({
  uri: honoured(uriText, "the whole path; the query stays").optional(),
  prefixRewrite: honoured(uriText).optional(),
  authority: honoured(authorityField).optional(),
  port: honoured(portField).optional(),
  derivePort: honoured(z.enum(["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"])).optional(),
  scheme: differently(
    z.literal(["http", "https"], { error: "must be http or https" }),
    "`http` and `https`",
  ).optional(),
  redirectCode: honoured(
    z.literal([301, 302, 303, 307, 308], { error: "must be 301, 302, 303, 307 or 308" }),
    "default: 301",
  ).default(301),
});

export const rewriteField = z.strictObject({
  uri: honoured(uriText, "in place of the prefix that matched; else of the whole path").optional(),
  authority: honoured(authorityField).optional(),
  uriRegexRewrite: z
    .strictObject({
      match: honoured(regexField, "RE2 syntax; every match is replaced"),
      rewrite: honoured(z.string().max(2_048), "`\\1`: the first group"),
    })
    .optional(),
});

export function toRedirect(
  redirect: z.infer<typeof redirectField>,
  work: Work<unknown>,
  path: readonly PropertyKey[],
): Redirect {
  const { uri, prefixRewrite, authority, scheme, redirectCode } = redirect;
  if (uri !== undefined && prefixRewrite !== undefined) {
    work.refuse([...path, "prefixRewrite"], "give either uri or prefixRewrite");
  }
  if (redirect.port !== undefined && redirect.derivePort !== undefined) {
    work.refuse([...path, "derivePort"], "give either port or derivePort");
  }
  const target = authority === undefined ? null : parseHostPort(authority, 80);
  const port = portOf(redirect, target?.port);
  return {
    ...(scheme === undefined ? {} : { scheme }),
    ...(target === null ? {} : { host: target.host }),
    ...(port === undefined ? {} : { port }),
    ...(uri === undefined ? {} : { path: { kind: "full" as const, value: uri } }),
    ...(prefixRewrite === undefined
      ? {}
      : { path: { kind: "prefix" as const, value: prefixRewrite } }),
    status: redirectCode,
  };
}

/** To another authority it is that one's port, not the request's (Envoy). */
function portOf(
  { port, derivePort, authority }: z.infer<typeof redirectField>,
  ofAuthority: number | undefined,
): Redirect["port"] {
  if (port !== undefined) return port;
  if (derivePort !== undefined) return derivePort === "FROM_REQUEST_PORT" ? "request" : "default";
  if (authority === undefined) return undefined;
  return /:\d+$/.test(authority) ? ofAuthority : "default";
}

export function toRewrite(
  rewrite: z.infer<typeof rewriteField> | undefined,
  authorityOfHeaders: string | undefined,
  work: Work<unknown>,
  path: readonly PropertyKey[],
): Rewrite | undefined {
  const { uri, uriRegexRewrite: regex } = rewrite ?? {};
  if (uri !== undefined && regex !== undefined) {
    work.refuse([...path, "uriRegexRewrite"], "give either uri or uriRegexRewrite");
  }
  const authority = authorityOfHeaders ?? rewrite?.authority;
  const found: Rewrite = {
    ...(uri === undefined ? {} : { path: { kind: "prefix" as const, value: uri } }),
    ...(regex === undefined
      ? {}
      : {
          path: {
            kind: "regex" as const,
            pattern: regex.match,
            substitution: regex.rewrite,
          },
        }),
    ...(authority === undefined ? {} : { authority }),
  };
  return Object.keys(found).length === 0 ? undefined : found;
}
