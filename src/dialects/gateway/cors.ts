import * as z from "zod";
import type { CorsRule, TextMatch } from "../../core/traffic.ts";
import { quoteRegex } from "../regex-field.ts";
import { differently, honoured } from "../support.ts";
import type { Work } from "../translator.ts";
import { METHODS, sentName } from "./fields.ts";

const ALONE = "* stands alone";
const WITH_CREDENTIALS =
  "`*` with `allowCredentials` is what browsers take for a name: a warning says so";
const ECHOED = "`*`: what a preflight asks for";

/** `*`, or an origin whose host may be `*` or begin with `*.`. */
const originField = z
  .string()
  .max(253)
  .regex(
    /^(\*|https?:\/\/(\*|(\*\.)?([a-zA-Z0-9-]+\.)*[a-zA-Z0-9-]+)(:[0-9]{1,5})?)$/,
    "must be *, or http:// or https:// with a host (*.example.com too) and perhaps a port",
  );

const names = (max: number) =>
  z
    .array(sentName)
    .max(max)
    .refine((list) => list.length < 2 || !list.includes("*"), { message: ALONE });

export const corsField = z.strictObject({
  allowOrigins: honoured(
    z
      .array(originField)
      .max(64)
      .refine((list) => list.length < 2 || !list.includes("*"), { message: ALONE }),
    "exact, or with `*` for a host or the first labels of one",
  ).default([]),
  allowMethods: honoured(
    z
      .array(z.enum([...METHODS, "*"]))
      .max(9)
      .refine((list) => list.length < 2 || !list.includes("*"), { message: ALONE }),
    ECHOED,
  ).default([]),
  allowHeaders: honoured(names(64), ECHOED).default([]),
  exposeHeaders: differently(names(64), WITH_CREDENTIALS).default([]),
  allowCredentials: honoured(z.boolean()).default(false),
  maxAge: honoured(z.number().int().min(1).max(2_147_483_647), "in seconds; default 5").default(5),
});

export function corsOf(
  work: Work<unknown>,
  cors: z.infer<typeof corsField>,
  at: readonly PropertyKey[],
): CorsRule {
  const { allowOrigins, allowMethods, allowHeaders, exposeHeaders, allowCredentials, maxAge } =
    cors;
  if (allowCredentials && exposeHeaders.includes("*")) {
    const message = "with allowCredentials browsers take * for a name: name the headers";
    work.warn([...at, "exposeHeaders"], message);
  }
  return {
    allowOrigins: allowOrigins.map(originMatch),
    ...{ allowMethods, allowHeaders, exposeHeaders, allowCredentials },
    maxAgeSeconds: maxAge,
    forwardUnmatched: false,
  };
}

function originMatch(origin: string): TextMatch {
  if (origin === "*") return { kind: "present" };
  const [before = "", after] = origin.split("*");
  if (after === undefined) return { kind: "exact", value: origin };
  // Any number of labels: the star matches everything to its left (HTTPCORSFilter).
  return { kind: "regex", value: `${quoteRegex(before)}[^/:]+${quoteRegex(after)}` };
}
