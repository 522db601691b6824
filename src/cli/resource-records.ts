import * as z from "zod";

const warnings = z.array(z.object({ path: z.string(), message: z.string() }));

const affected = z.array(
  z.object({
    key: z.string(),
    kind: z.string(),
    namespace: z.string(),
    name: z.string(),
    warnings,
  }),
);
/** A resource that the change of another has made worse. */
export type AffectedResource = z.infer<typeof affected>[number];

/** What the CLI reads of `POST /v1/mesh/resources`. */
export const resourceOutcomes = z.object({
  affected,
  results: z.array(
    z.object({
      kind: z.string().optional(),
      namespace: z.string().optional(),
      name: z.string().optional(),
      result: z.enum(["created", "changed", "unchanged", "refused", "skipped"]),
      reason: z.string().optional(),
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
  key: z.string(),
  content: z.record(z.string(), z.unknown()),
  createdMs: z.number(),
  generation: z.number(),
  warnings,
  records: z.array(z.looseObject({ kind: z.string(), key: z.string() })),
});

export const removalAnswer = z.object({ removed: z.boolean(), affected });
export type RemovalAnswer = z.infer<typeof removalAnswer>;

const revisionFacts = {
  generation: z.number(),
  atMs: z.number().nullable(),
  by: z.string(),
  cause: z.string(),
};
const resourceName = {
  group: z.string(),
  kind: z.string(),
  namespace: z.string(),
  name: z.string(),
};

/** What the CLI reads of `GET /v1/mesh/history`. */
export const historyList = z.array(
  z.object({
    ...resourceName,
    revisions: z.array(z.object({ ...revisionFacts, removed: z.boolean() })),
  }),
);

/** What the CLI reads of the history of one resource. */
export const resourceHistory = z.object({
  ...resourceName,
  revisions: z.array(
    z.object({ ...revisionFacts, content: z.record(z.string(), z.unknown()).nullable() }),
  ),
});

/** What the CLI reads of a rollback. */
export const rollbackAnswer = z.object({
  result: z.enum(["created", "changed", "unchanged"]),
  from: z.number(),
  generation: z.number(),
  warnings,
  affected,
});
