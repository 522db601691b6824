import * as z from "zod";

const warnings = z.array(z.object({ path: z.string(), message: z.string() }));

/** What the CLI reads of `POST /v1/mesh/resources`. */
export const resourceOutcomes = z.object({
  results: z.array(
    z.object({
      kind: z.string().optional(),
      namespace: z.string().optional(),
      name: z.string().optional(),
      result: z.enum(["created", "changed", "unchanged", "refused"]),
      errors: z.array(z.object({ path: z.string(), reason: z.string() })),
      warnings,
    }),
  ),
});
export type ResourceOutcome = z.infer<typeof resourceOutcomes>["results"][number];

/** What the CLI reads of `GET /v1/mesh/resources`. */
export const resourceRecord = z.looseObject({
  group: z.string(),
  kind: z.string(),
  namespace: z.string(),
  name: z.string(),
  createdMs: z.number(),
  generation: z.number(),
  warnings,
  policies: z.array(z.string()),
});

export const removalAnswer = z.object({ removed: z.boolean() });
