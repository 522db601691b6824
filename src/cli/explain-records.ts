import * as z from "zod";
import { EXPLAIN_STAGES, type Explanation } from "../core/explanation.ts";
import { CliError } from "./cli-error.ts";

const explainedEndpoint = z.looseObject({
  id: z.string(),
  address: z.string(),
  port: z.number(),
  host: z.string(),
  excluded: z.string().nullable(),
  weight: z.number(),
  inFlight: z.number(),
  latencyMs: z.number().nullable(),
  cost: z.number().nullable(),
});

const explainRequest = z.object({
  source: z.string(),
  destination: z.string(),
  method: z.string(),
  path: z.string(),
  headers: z.array(z.tuple([z.string(), z.string()])),
  fromIdentity: z.string().optional(),
});

const explanation = z.looseObject({
  host: z.string(),
  revision: z.number(),
  steps: z.array(
    z.looseObject({
      stage: z.enum(EXPLAIN_STAGES),
      decision: z.string(),
      because: z.string(),
      resource: z.string().nullable(),
      details: z.array(z.string()),
    }),
  ),
  endpoints: z.array(explainedEndpoint),
  outcome: z.looseObject({
    kind: z.enum(["forward", "answer", "outside", "refused"]),
    status: z.number().nullable(),
    error: z.string().nullable(),
    text: z.string(),
    endpoint: explainedEndpoint.nullable(),
    next: z.object({ host: z.string(), request: explainRequest }).nullable(),
  }),
});

/** What a daemon has explained; throws where the answer is none. */
export function parseExplanation(answer: unknown): Explanation {
  const { data, error } = explanation.safeParse(answer);
  if (data !== undefined) return data as Explanation;
  throw new CliError(`the explanation is not understood: ${z.prettifyError(error)}`, {
    remedy: "Use the hostmesh command of the daemon's own version.",
    cause: error,
  });
}
