import * as z from "zod";
import type { TapFilter, TapItem, TapLimits } from "./tap-event.ts";

const text = z.string().max(8_192);
const size = z.number().min(0);
const headers = z.exactOptional(z.array(z.tuple([text, text]).readonly()).max(256));

const event = z.object({
  ...{ host: text, atMs: z.number(), entry: text, protocol: text, httpVersion: text },
  ...{ source: text, sourceAddress: text, destination: text.nullable(), route: text },
  ...{ endpoint: text.nullable(), endpointAddress: text.nullable(), security: text },
  ...{ method: text, authority: text, path: z.string().max(65_536), status: size },
  ...{ grpcStatus: z.number().nullable(), error: text.nullable(), flag: text },
  ...{ requestBytes: size, responseBytes: size, durationMs: size, attempts: size },
  ...{ requestId: text, traceId: text, requestHeaders: headers, responseHeaders: headers },
});

/** One answer to the question `tap`. */
export const tapItemsSchema: z.ZodType<readonly TapItem[]> = z
  .array(
    z.discriminatedUnion("type", [
      z.object({ type: z.literal("event"), event }),
      z.object({ type: z.literal("skipped"), host: text, events: size }),
    ]),
  )
  .max(10_000);

const wanted = z.exactOptional(z.string().min(1).max(1_024));

/** What a tap may be asked for; anything else is refused, as a misspelt condition would show everything. */
export const tapFilterSchema: z.ZodType<TapFilter> = z.strictObject({
  ...{ source: wanted, destination: wanted, method: wanted, pathPrefix: wanted, authority: wanted },
  status: z.exactOptional(z.string().regex(/^[1-5](\d\d|xx)$/, "is no status, nor a class as 5xx")),
  failed: z.exactOptional(z.boolean()),
  headers: z.exactOptional(z.boolean()),
  query: z.exactOptional(z.boolean()),
});

export const tapLimitsSchema: z.ZodType<TapLimits, unknown> = z.strictObject({
  perSecond: z.number().int().min(1).max(1_000).default(100),
  durationMs: z.number().int().min(1).max(3_600_000).default(600_000),
});
