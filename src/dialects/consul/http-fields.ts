import * as z from "zod";
import { honoured } from "../support.ts";
import { headerNameField, methodName } from "../value-fields.ts";

/** Consul writes an empty text for what is not set. */
export const unset = z.literal("").transform(() => undefined);

/** A text that something of a request is compared with. */
export const comparedText = z.string().max(2_048);

export const pathText = comparedText.startsWith("/", "must begin with /");

/** What intentions and routers both ask of a header. */
export const headerConditions = {
  name: honoured(headerNameField),
  present: honoured(z.boolean()).optional(),
  exact: honoured(comparedText).optional(),
  prefix: honoured(comparedText).optional(),
  suffix: honoured(comparedText).optional(),
};

export const methodsField = honoured(
  z.array(methodName.transform((method) => method.toUpperCase())).max(32),
);

/** Are the three ways to ask for a path at most one? */
export const hasOnePath = {
  holds: (match: { pathExact?: unknown; pathPrefix?: unknown; pathRegex?: unknown }) =>
    [match.pathExact, match.pathPrefix, match.pathRegex].filter(Boolean).length <= 1,
  message: "at most one of pathExact, pathPrefix and pathRegex may be given",
};
