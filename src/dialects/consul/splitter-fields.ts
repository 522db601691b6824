import * as z from "zod";
import { differently } from "../support.ts";
import { headersField, targetFields } from "./chain-fields.ts";
import { configEntryKind } from "./config-entry.ts";

const MAX_SPLITS = 64;

const splitField = z.strictObject({
  weight: differently(
    z.number().min(0).max(100),
    "percent, in steps of 0.01; shares are exact over any 10,000 requests, not by chance",
  ),
  ...targetFields,
  requestHeaders: headersField.optional(),
  responseHeaders: headersField.optional(),
});

/** Consul's service-splitter: shares of a service's requests. */
export const serviceSplitterKind = configEntryKind({
  kind: "service-splitter",
  resourceKind: "ServiceSplitter",
  fields: {
    splits: z
      .array(splitField)
      .min(1, "at least one split must be given")
      .max(MAX_SPLITS)
      .superRefine((splits, context) => {
        const total = splits.reduce((sum, { weight }) => sum + Math.round(weight * 100), 0);
        if (total === 10_000) return;
        const message = `the weights must total 100, and are ${total / 100}`;
        context.addIssue({ code: "custom", message });
      }),
  },
});
