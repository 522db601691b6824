import * as z from "zod";
import { tapFilterSchema, tapLimitsSchema } from "../../sight/tap-schema.ts";
import type { Catalog } from "../catalog.ts";
import { hostField } from "../fields.ts";
import { parseInput } from "../parse-input.ts";
import type { RegistryParts } from "../parts.ts";
import { RegistryError } from "../registry-error.ts";
import { BODY_BYTES, type RegistryRequest, type Route } from "../route.ts";
import type { SightHub } from "../sight/hub.ts";
import { tapReply } from "../sight/tap-lines.ts";

/** For what a daemon has to think about. */
const PATIENCE_MS = 10_000;

const tapBody = z.strictObject({
  filter: tapFilterSchema,
  limits: z.exactOptional(tapLimitsSchema),
  hosts: z.exactOptional(z.array(hostField).min(1).max(10_000)),
});
const explainBody = z.strictObject({
  host: z.exactOptional(hostField),
  request: z.record(z.string(), z.unknown()),
});
const loggingBody = z.strictObject({
  level: z.exactOptional(z.string().max(64)),
  accessLog: z.exactOptional(z.unknown()),
});

/** `/v1/mesh/sight`: what all daemons see, asked for at this moment. For operators only. */
export function sightRoutes({ sight, catalog }: RegistryParts): Route[] {
  return [
    {
      method: "GET",
      pattern: "/v1/mesh/sight/report",
      handle: async () => ({ body: await sight.report() }),
    },
    {
      method: "GET",
      pattern: "/v1/mesh/sight/hosts/:host/report",
      handle: async (request) => ({ body: await sight.hostReport(hostOf(request)) }),
    },
    {
      method: "GET",
      pattern: "/v1/mesh/sight/hosts/:host/config",
      handle: async (request) => {
        const question = { kind: "config", redacted: true } as const;
        return { body: await sight.ask(hostOf(request), question, PATIENCE_MS) };
      },
    },
    {
      method: "PUT",
      pattern: "/v1/mesh/sight/hosts/:host/logging",
      bodyBytes: BODY_BYTES,
      handle: async (request) => {
        const wanted = parseInput(loggingBody, request.hasBody ? request.json() : {});
        const question = { kind: "logging", ...wanted } as const;
        return { body: await sight.ask(hostOf(request), question, PATIENCE_MS) };
      },
    },
    {
      method: "POST",
      pattern: "/v1/mesh/sight/explain",
      bodyBytes: BODY_BYTES,
      handle: async (request) => {
        const { host, request: imagined } = parseInput(explainBody, request.json());
        const asked = host ?? homeOf(catalog, imagined["source"]) ?? (await anyHost(sight));
        const question = { kind: "explain", request: imagined } as const;
        return { body: await sight.ask(asked, question, PATIENCE_MS) };
      },
    },
    { method: "POST", pattern: "/v1/mesh/sight/tap", bodyBytes: BODY_BYTES, handle: tap(sight) },
  ];
}

function tap(sight: SightHub): Route["handle"] {
  return (request) => {
    const { filter, limits, hosts } = parseInput(tapBody, request.json());
    return tapReply(request, (onItem, onEnd) =>
      sight.tap(filter, limits ?? tapLimitsSchema.parse({}), hosts ?? null, onItem, onEnd),
    );
  };
}

/** The host of the workload of this name or address, whose daemon would decide. */
function homeOf(catalog: Catalog, source: unknown): string | undefined {
  if (typeof source !== "string") return undefined;
  const named = catalog.get("workload", source);
  if (named !== undefined) return named.host;
  const all = catalog.all("workload");
  return all.find(({ value }) => value.addresses.includes(source))?.value.host;
}

/** Nobody's call: any daemon that reports decides as well as another. */
async function anyHost(sight: SightHub): Promise<string> {
  const { hosts } = await sight.report();
  const found = hosts.find(({ state }) => state === "reporting");
  if (found === undefined) throw new RegistryError(503, "no daemon answers");
  return found.host;
}

function hostOf({ params }: RegistryRequest): string {
  return parseInput(hostField, params["host"]);
}
