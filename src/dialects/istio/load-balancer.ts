import * as z from "zod";
import type { LocalityRule } from "../../core/locality-rule.ts";
import type { BalancerConfig, BalancerPolicy, HashOn } from "../../core/model.ts";
import { differently, honoured, ineffective, refused } from "../support.ts";
import type { Work } from "../translator.ts";
import { durationIn, headerNameField, textField } from "../value-fields.ts";

const SIMPLE: Readonly<Record<string, BalancerPolicy>> = {
  ROUND_ROBIN: "round-robin",
  RANDOM: "random",
  LEAST_REQUEST: "least-request",
  LEAST_CONN: "least-request",
};
const noPassthrough =
  "PASSTHROUGH is refused: the mesh chooses among the endpoints of a service. Call an address of your own choice instead of the service";
const ownSize = "tables have the daemon's own size";
const locality = z
  .string()
  .max(256)
  .regex(/^(\*|[^/*\s]+(\/(\*|[^/*\s]+)){0,2}(\/\*)?)$/, "must be region, region/zone or with *");

const cookieField = z.strictObject({
  name: honoured(z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, "must be a cookie name")),
  path: honoured(
    z
      .string()
      .max(1_024)
      .regex(/^\/[\x21-\x3a\x3c-\x7e]*$/, "must be a path"),
  ).optional(),
  ttl: honoured(
    durationIn(0),
    "the proxy sets the cookie where there is none; `0s`: for the session; absent: never",
  ).optional(),
  attributes: ineffective(z.array(z.unknown()), "a cookie is set with name, path and age only"),
});

const hashField = z.strictObject({
  httpHeaderName: honoured(headerNameField).optional(),
  httpCookie: cookieField.optional(),
  useSourceIp: honoured(z.literal(true, { error: "must be true: leave it out else" })).optional(),
  httpQueryParameterName: honoured(textField).optional(),
  minimumRingSize: ineffective(z.number(), ownSize),
  ringHash: z.strictObject({ minimumRingSize: ineffective(z.number(), ownSize) }).optional(),
  maglev: differently(
    z.strictObject({ tableSize: z.number().optional() }),
    `chooses Maglev; \`tableSize\` has no effect: ${ownSize}`,
  ).optional(),
});

const shareField = z.record(locality, z.number().int().min(0).max(100));
const localityField = z.strictObject({
  enabled: honoured(z.boolean(), "default: true").default(true),
  distribute: z
    .array(z.strictObject({ from: honoured(locality), to: honoured(shareField) }))
    .max(128)
    .optional(),
  failover: z
    .array(z.strictObject({ from: honoured(textField), to: honoured(textField) }))
    .max(128)
    .optional(),
  failoverPriority: honoured(
    z.array(textField).max(32),
    "labels, or `label=value`; also without outlierDetection",
  ).optional(),
});

const warmupField = z.strictObject({
  duration: honoured(durationIn(1)),
  minimumPercent: honoured(z.number().min(0).max(100), "default: 10").default(10),
  aggression: honoured(z.number().min(1).max(1_000), "default: 1").default(1),
});

export const loadBalancerField = z.strictObject({
  simple: differently(
    z.enum(["UNSPECIFIED", "LEAST_CONN", "RANDOM", "ROUND_ROBIN", "LEAST_REQUEST"], {
      error: ({ input }) =>
        input === "PASSTHROUGH"
          ? noPassthrough
          : "must be ROUND_ROBIN, RANDOM, LEAST_REQUEST or LEAST_CONN",
    }),
    "`LEAST_CONN` is `LEAST_REQUEST`; absent and `UNSPECIFIED`: the service's own; `PASSTHROUGH` is refused",
  ).default("UNSPECIFIED"),
  consistentHash: hashField.optional(),
  localityLbSetting: localityField.optional(),
  warmup: warmupField.optional(),
  warmupDurationSecs: honoured(durationIn(1), "deprecated: `warmup.duration`").optional(),
  zoneAwareLbSetting: refused("use localityLbSetting"),
  backendUtilization: refused("endpoints report no load: use LEAST_REQUEST"),
});

type LoadBalancer = z.infer<typeof loadBalancerField>;

/** Nothing: the service's own balancer stays. */
export function toBalancer(
  load: LoadBalancer,
  work: Work<unknown>,
  path: readonly PropertyKey[],
): BalancerConfig | undefined {
  const { simple, consistentHash: hash } = load;
  const ramp = toRamp(load, work, path);
  if (hash !== undefined) {
    const place = [...path, "consistentHash"];
    if (simple !== "UNSPECIFIED") work.refuse(place, "give either simple or consistentHash");
    const policy = hash.maglev === undefined ? "ring-hash" : "maglev";
    return { policy, hashOn: toHashOn(hash, work, place), ...ramp };
  }
  if (simple === "UNSPECIFIED" && ramp.slowStartMs === 0) return undefined;
  // What nobody chose is LEAST_REQUEST in Istio, to which a warm-up applies.
  return { policy: SIMPLE[simple] ?? "least-request", ...ramp };
}

/** Slow start, which Istio has for two of the policies only. */
function toRamp(
  { simple, consistentHash, warmup, warmupDurationSecs }: LoadBalancer,
  work: Work<unknown>,
  path: readonly PropertyKey[],
): Omit<BalancerConfig, "policy" | "hashOn"> {
  if (warmup !== undefined && warmupDurationSecs !== undefined) {
    work.refuse([...path, "warmupDurationSecs"], "give warmup.duration only");
  }
  const slowStartMs = warmup?.duration ?? warmupDurationSecs ?? 0;
  if (slowStartMs > 0 && (consistentHash !== undefined || simple === "RANDOM")) {
    const field = warmup === undefined ? "warmupDurationSecs" : "warmup";
    work.warn([...path, field], "no effect but with ROUND_ROBIN and LEAST_REQUEST");
    return { slowStartMs: 0 };
  }
  if (warmup === undefined) return { slowStartMs };
  const { minimumPercent: slowStartMinPercent, aggression: slowStartAggression } = warmup;
  return { slowStartMs, slowStartMinPercent, slowStartAggression };
}

function toHashOn(
  hash: z.infer<typeof hashField>,
  work: Work<unknown>,
  path: readonly PropertyKey[],
): HashOn {
  const { httpHeaderName, httpCookie, useSourceIp, httpQueryParameterName, maglev } = hash;
  if (maglev?.tableSize !== undefined) {
    work.warn([...path, "maglev", "tableSize"], `no effect: ${ownSize}`);
  }
  if (maglev !== undefined && hash.ringHash !== undefined) {
    work.refuse([...path, "maglev"], "give either ringHash or maglev");
  }
  const all: HashOn[] = [];
  if (httpHeaderName !== undefined) all.push({ kind: "header", name: httpHeaderName });
  if (httpQueryParameterName !== undefined) {
    all.push({ kind: "query", name: httpQueryParameterName });
  }
  if (useSourceIp) all.push({ kind: "source" });
  if (httpCookie !== undefined) all.push(toCookie(httpCookie));
  const [only, ...others] = all;
  if (only !== undefined && others.length === 0) return only;
  const ways = "httpHeaderName, httpCookie, useSourceIp and httpQueryParameterName";
  return work.refuse(path, `give one of ${ways}`);
}

function toCookie({ name, path, ttl }: z.infer<typeof cookieField>): HashOn {
  return {
    kind: "cookie",
    name,
    ...(ttl === undefined ? {} : { ttlSeconds: Math.ceil(ttl / 1_000) }),
    ...(path === undefined ? {} : { path }),
  };
}

export function toLocality(
  load: LoadBalancer,
  work: Work<unknown>,
  path: readonly PropertyKey[],
): LocalityRule | undefined {
  const setting = load.localityLbSetting;
  if (setting === undefined) return undefined;
  const { enabled, distribute, failover, failoverPriority } = setting;
  const place = [...path, "localityLbSetting"];
  if (distribute !== undefined && (failover ?? failoverPriority) !== undefined) {
    work.refuse([...place, "distribute"], "stands alone: without failover and failoverPriority");
  }
  for (const [index, { to }] of (distribute ?? []).entries()) {
    const sum = Object.values(to).reduce((total, share) => total + share, 0);
    if (sum !== 100)
      work.refuse([...place, "distribute", index, "to"], `must sum to 100, not ${sum}`);
  }
  for (const [index, { from, to }] of (failover ?? []).entries()) {
    if (from === to) work.refuse([...place, "failover", index, "to"], "must be another region");
  }
  return {
    enabled,
    ...(distribute === undefined ? {} : { distribute }),
    ...(failover === undefined ? {} : { failover }),
    ...(failoverPriority === undefined ? {} : { failoverPriority }),
  };
}
