import * as z from "zod";
import {
  type RetryBudgetRule,
  type RetryRule,
  ROUTE_RANKS,
  type RouteMatch,
  type RouteRule,
  type RouteTable,
  type TrafficSettings,
} from "../../core/traffic.ts";
import { basePolicy } from "../base-policy.ts";
import { resourceSchema } from "../envelope.ts";
import { differently, honoured } from "../support.ts";
import { defineTranslator, type TranslatedValue, type Work } from "../translator.ts";
import { durationField } from "../value-fields.ts";
import { expandRequestMatch, requestMatchField, UnexpandableError } from "./request-match.ts";
import { failureStatuses, responseMatchField } from "./response-match.ts";
import { authorityNamed, serviceNamed } from "./service-name.ts";

const MAX_ROUTES = 512;
const MAX_OVERRIDES = 64;
/** Linkerd's proxy keeps so much of a body to send it again. */
const BODY_BYTES = 65_536;
/** The budget is the limit in Linkerd; this one keeps a single request from using up all of it. */
const ATTEMPTS = 5;
const DEFAULT_BUDGET: RetryBudgetRule = { ratio: 0.2, minPerSecond: 10, ttlMs: 10_000 };
/** A client's own profile counts before that of the service. */
const RANK = { client: 1, service: 0 } as const;

/** A quantity of Kubernetes (`500m`, `1.5`, `10`), in thousandths. */
const weightField = z
  .union([z.number(), z.string()], { error: "must be a weight such as 10 or 500m" })
  .transform((value, context) => {
    const [, digits, milli] = /^(\d+(?:\.\d{1,3})?)(m?)$/.exec(String(value)) ?? [];
    const thousandths = Math.round(Number(digits) * (milli === "m" ? 1 : 1_000));
    if (digits !== undefined && thousandths <= 1_000_000_000) return thousandths;
    context.addIssue({ code: "custom", message: "must be a weight such as 10 or 500m" });
    return z.NEVER;
  });

const routeField = z.strictObject({
  name: honoured(z.string().max(512), "kept, and shown").default(""),
  condition: requestMatchField,
  responseClasses: z
    .array(
      z.strictObject({
        condition: responseMatchField,
        isFailure: differently(
          z.boolean(),
          "which responses are retried; metrics count a 5xx as a failure all the same",
        ).optional(),
      }),
    )
    .max(64)
    .optional(),
  isRetryable: differently(
    z.boolean(),
    `retried within the budget, at most ${ATTEMPTS} times; also where no connection could be made, which Linkerd does not retry`,
  ).optional(),
  timeout: honoured(durationField, "default: none").optional(),
});
type Route = z.infer<typeof routeField>;

const budgetField = z.strictObject({
  retryRatio: differently(
    z.number().min(0).max(1_000),
    "exact: tower's own counts 0.7 as 1, and 0.3 as a third",
  ),
  minRetriesPerSecond: differently(
    z.number().int().min(0).max(1_000_000),
    "spread over time; Linkerd lets those of the whole `ttl` go at once",
  ),
  ttl: honoured(durationField.refine((ms) => ms >= 1_000 && ms <= 60_000, "must be 1s to 60s")),
});

const overrideField = z.strictObject({
  authority: honoured(
    z
      .string()
      .max(300)
      .refine((text) => authorityNamed(text) !== null, "must be NAME or NAME:PORT"),
    "the name of a service (`books.shop.svc.cluster.local`), with a port or without",
  ),
  weight: honoured(weightField, "a number, or a quantity such as `500m`"),
});

const portNumber = z
  .string()
  .refine((text) => /^[1-9]\d{0,4}$/.test(text) && Number(text) <= 65_535, "must be a port");

const schema = resourceSchema(
  z.strictObject({
    routes: z.array(routeField).max(MAX_ROUTES).default([]),
    retryBudget: budgetField.optional(),
    dstOverrides: z.array(overrideField).max(MAX_OVERRIDES).optional(),
    opaquePorts: differently(
      z.record(portNumber, z.boolean()),
      "TCP, nothing is found out; also for callers of other namespaces where it is the profile of the service, and else of no effect",
    ).optional(),
  }),
);
type Resource = z.infer<typeof schema>;

/** Linkerd's ServiceProfile. */
export const serviceProfile = defineTranslator<Resource>({
  dialect: "Linkerd",
  group: "linkerd.io",
  kind: "ServiceProfile",
  notes: [
    "Its name is that of the service: `books.shop.svc.cluster.local`; any other name is a host outside the mesh.",
    "In the namespace of the service it is for all callers, in another one for the callers of that namespace, before the one of the service.",
    "It adds timeouts and retries to whatever else routes the requests; the first route that matches counts. What none matches is neither retried nor timed by it.",
    "A retryable route says that its requests may be repeated whatever their method, as in Linkerd; so mark only those where that is true.",
    "`dstOverrides` give way to the routes of other dialects for the service.",
  ],
  forms: [{ versions: ["v1alpha1", "v1alpha2"], schema }],
  records(work) {
    const routes = work.resource.spec.routes.map((route, index) => ruleOf(work, route, index));
    const { retryBudget, routes: given } = work.resource.spec;
    const values: TranslatedValue[] = [];
    if (routes.length > 0) {
      values.push({ kind: "route", value: tableOf(work, "http", "profile", routes) });
    }
    const split = splitOf(work);
    if (split !== null) {
      // A connection that is not HTTP is split as a whole.
      for (const protocol of ["http", "tcp"] as const) {
        values.push({ kind: "route", value: tableOf(work, protocol, "route", [split]) });
      }
    }
    const hasBudget =
      retryBudget !== undefined || given.some(({ isRetryable }) => isRetryable === true);
    const ports = opaquePortsOf(work);
    if (hasBudget || Object.keys(ports).length > 0) {
      const settings = hasBudget ? { retryBudget: budgetOf(work) } : {};
      values.push(policyOf(work, settings, ports));
    }
    return values;
  },
});

/** The service, and whose calls are meant. */
function scopeOf({ name: { name, namespace } }: Work<unknown>) {
  const service = serviceNamed(name);
  const isOwn = service.namespace === namespace;
  return { service: service.ref, isOwn, clients: isOwn ? null : [namespace] };
}

function tableOf(
  work: Work<unknown>,
  protocol: RouteTable["protocol"],
  role: RouteTable["role"],
  rules: readonly RouteRule[],
): RouteTable {
  const { service, isOwn, clients } = scopeOf(work);
  const own = isOwn ? RANK.service : RANK.client;
  return {
    ...{ source: work.source, createdMs: work.context.createdMs },
    ...{ protocol, role, services: [service], clients },
    rank: role === "profile" ? own : ROUTE_RANKS.smi + own,
    ...{ order: "listed", otherwise: "service" },
    rules,
  };
}

function ruleOf(work: Work<unknown>, route: Route, index: number): RouteRule {
  const { name, isRetryable, timeout, responseClasses } = route;
  const path = ["spec", "routes", index];
  if (responseClasses !== undefined && isRetryable !== true) {
    work.warn([...path, "responseClasses"], "no effect: they say what is retried, and this is not");
  }
  return {
    name,
    matches: matchesOf(work, route, [...path, "condition"]),
    action: { kind: "forward", backends: [] },
    ...(timeout === undefined ? {} : { timeouts: { requestMs: timeout } }),
    ...(isRetryable === true ? { retry: retryOf(route) } : {}),
  };
}

/** A condition that holds for nothing is refused: a rule without matches would hold for everything. */
function matchesOf(
  work: Work<unknown>,
  { condition }: Route,
  path: readonly PropertyKey[],
): readonly RouteMatch[] {
  try {
    const matches = expandRequestMatch(condition);
    if (matches.length > 0) return matches;
  } catch (error) {
    if (!(error instanceof UnexpandableError)) throw error;
    return work.refuse([...path, ...error.path], error.message);
  }
  return work.refuse(path, "holds for no request: no method is both");
}

function retryOf({ responseClasses = [] }: Route): RetryRule {
  return {
    attempts: ATTEMPTS,
    on: ["connect-failure", "refused-stream", "reset"],
    statuses: failureStatuses(responseClasses),
    // Linkerd's route policies wait so long between tries.
    backoff: { baseMs: 25, maxMs: 250 },
    unsafe: true,
    avoidTried: true,
    bodyBytes: BODY_BYTES,
  };
}

function splitOf({ resource, refuse }: Work<Resource>): RouteRule | null {
  const { dstOverrides = [] } = resource.spec;
  if (dstOverrides.length === 0) return null;
  if (dstOverrides.every(({ weight }) => weight === 0)) {
    refuse(["spec", "dstOverrides"], "one of the weights must be above 0");
  }
  const backends = dstOverrides.map(({ authority, weight }) => {
    const { ref = null, port = null } = authorityNamed(authority) ?? {};
    return { service: ref, ...(port === null ? {} : { port }), weight };
  });
  return { name: "", matches: [], action: { kind: "forward", backends } };
}

function budgetOf({ resource }: Work<Resource>): RetryBudgetRule {
  const { retryBudget: field } = resource.spec;
  if (field === undefined) return DEFAULT_BUDGET;
  return { ratio: field.retryRatio, minPerSecond: field.minRetriesPerSecond, ttlMs: field.ttl };
}

/** What is spoken is no matter of who calls, so that only the service's own profile says it. */
function opaquePortsOf(work: Work<Resource>): Record<string, TrafficSettings> {
  const all = Object.entries(work.resource.spec.opaquePorts ?? {});
  const ports = all.filter(([, isOpaque]) => isOpaque).map(([port]) => port);
  if (ports.length > 0 && !scopeOf(work).isOwn) {
    const { namespace } = serviceNamed(work.name.name);
    const where = namespace === null ? "a registration" : `a profile in ${namespace}`;
    work.warn(["spec", "opaquePorts"], `no effect: only ${where} says what the service speaks`);
    return {};
  }
  return Object.fromEntries(ports.map((port) => [port, { protocol: "tcp" }]));
}

/** It holds beneath other policies, of which none has a retry budget but DestinationRules. */
function policyOf(
  work: Work<Resource>,
  settings: TrafficSettings,
  ports: Readonly<Record<string, TrafficSettings>>,
): TranslatedValue {
  const { service, clients } = scopeOf(work);
  const { namespace } = work.name;
  const value = basePolicy(work, { service, namespace, settings, clients, ports });
  return { kind: "traffic", value };
}
