import * as z from "zod";
import type { PathRewrite, Redirect, Rewrite } from "../../core/traffic.ts";
import { honoured } from "../support.ts";
import { portField } from "../value-fields.ts";
import { hostField, newPathField } from "./fields.ts";

const REPLACEMENTS = {
  ReplaceFullPath: "replaceFullPath",
  ReplacePrefixMatch: "replacePrefixMatch",
} as const;

const pathField = z
  .strictObject({
    type: honoured(z.enum(["ReplaceFullPath", "ReplacePrefixMatch"])),
    replaceFullPath: honoured(newPathField, "the query stays").optional(),
    replacePrefixMatch: honoured(
      newPathField,
      "needs exactly one match in the rule, a PathPrefix",
    ).optional(),
  })
  .superRefine((path, context) => {
    for (const [type, field] of Object.entries(REPLACEMENTS)) {
      const isGiven = path[field] !== undefined;
      if (isGiven === (path.type === type)) continue;
      const message = isGiven ? `is for the type ${type}` : `missing: the type ${type} needs it`;
      context.addIssue({ code: "custom", path: [field], message });
    }
  });

export const urlRewriteField = z.strictObject({
  hostname: honoured(hostField, "the Host that the endpoint sees").optional(),
  path: pathField.optional(),
});

export const redirectField = z.strictObject({
  scheme: honoured(z.enum(["http", "https"]), "default: the request's").optional(),
  hostname: honoured(hostField, "default: the request's").optional(),
  path: pathField.optional(),
  port: honoured(
    portField,
    "default: that of `scheme`, or without one the called port; 80 and 443 are left out where they go without saying",
  ).optional(),
  statusCode: honoured(z.literal([301, 302, 303, 307, 308]), "default 302").default(302),
});

type Path = z.infer<typeof pathField>;

/** Does it replace the prefix by which its rule matched? */
export function replacesPrefix(path: Path | undefined): boolean {
  return path?.type === "ReplacePrefixMatch";
}

function pathOf(path: Path): PathRewrite {
  return path.type === "ReplacePrefixMatch"
    ? { kind: "prefix", value: path.replacePrefixMatch ?? "" }
    : { kind: "full", value: path.replaceFullPath === "" ? "/" : (path.replaceFullPath ?? "/") };
}

export function rewriteOf({ hostname, path }: z.infer<typeof urlRewriteField>): Rewrite {
  return {
    ...(path === undefined ? {} : { path: pathOf(path) }),
    ...(hostname === undefined ? {} : { authority: hostname }),
  };
}

export function redirectOf(redirect: z.infer<typeof redirectField>): Redirect {
  const { scheme, hostname, path, port, statusCode } = redirect;
  return {
    ...(scheme === undefined ? {} : { scheme }),
    ...(hostname === undefined ? {} : { host: hostname }),
    ...(port === undefined ? {} : { port }),
    ...(path === undefined ? {} : { path: pathOf(path) }),
    status: statusCode,
  };
}
