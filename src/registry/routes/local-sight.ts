import * as z from "zod";
import { tapFilterSchema, tapLimitsSchema } from "../../sight/tap-schema.ts";
import { hostField } from "../fields.ts";
import { parseInput } from "../parse-input.ts";
import { BODY_BYTES, type Route } from "../route.ts";
import type { SightSource } from "../sight/sight-source.ts";
import { tapReply } from "../sight/tap-lines.ts";

const askBody = z.strictObject({
  host: hostField,
  question: z.looseObject({ kind: z.string().max(64) }),
  patienceMs: z.number().int().min(1).max(60_000),
});
const tapBody = z.strictObject({
  hosts: z.array(hostField).min(1).max(10_000),
  filter: tapFilterSchema,
  limits: tapLimitsSchema,
});

/** `/v1/mesh/sight/local`: this registry's own daemons, for the other registries of the mesh. */
export function localSightRoutes(local: SightSource): Route[] {
  return [
    {
      method: "GET",
      pattern: "/v1/mesh/sight/local/reports",
      allow: ["registry"],
      handle: async () => ({ lines: each(await local.reports()) }),
    },
    {
      method: "POST",
      pattern: "/v1/mesh/sight/local/ask",
      allow: ["registry"],
      bodyBytes: 2 * BODY_BYTES,
      async handle(request) {
        const { host, question, patienceMs } = parseInput(askBody, request.json());
        return { body: await local.ask(host, question, patienceMs) };
      },
    },
    {
      method: "POST",
      pattern: "/v1/mesh/sight/local/tap",
      allow: ["registry"],
      bodyBytes: 2 * BODY_BYTES,
      handle(request) {
        const { hosts, filter, limits } = parseInput(tapBody, request.json());
        const question = { kind: "tap", filter, limits } as const;
        return tapReply(request, (onItem, onEnd) => local.tap(hosts, question, onItem, onEnd));
      },
    },
  ];
}

async function* each(values: readonly unknown[]): AsyncGenerator<unknown> {
  yield* values;
}
