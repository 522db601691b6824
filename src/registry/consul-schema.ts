import * as z from "zod";
import { parseHostPort } from "../core/address.ts";
import { BALANCER_POLICIES, DEFAULT_NAMESPACE } from "../core/model.ts";
import { canonicalKeys } from "./consul-keys.ts";
import { parseGoDuration } from "./duration.ts";
import {
  addressField,
  grpcTargetField,
  headersField,
  idField,
  metaField,
  methodField,
  nameField,
  namespaceField,
  portField,
  protocolField,
  tagsField,
  textField,
  urlField,
  weightField,
} from "./fields.ts";
import type { CheckInput, EndpointInput } from "./inputs.ts";
import { parseInput } from "./parse-input.ts";
import type { CheckSpec } from "./records.ts";
import { RegistryError } from "./registry-error.ts";

/** Fields of Consul that ask for nothing which a shared proxy would do differently; see docs/registry-api.md. */
const IGNORED = ["EnableTagOverride", "Connect", "Partition", "Datacenter", "Proxy"];
const IGNORED_CHECK = ["OutputMaxSize", "Namespace", "Partition", "ServiceID"];
/** Fields that would change what is registered, and are therefore refused unless they are empty. */
const REFUSED = ["Kind", "SocketPath"];
const REFUSED_CHECK = [
  "Args",
  "ScriptArgs",
  "Script",
  "Shell",
  "DockerContainerID",
  "H2PING",
  "H2PingUseTLS",
  "UDP",
  "OSService",
  "AliasNode",
  "AliasService",
  "TCPUseTLS",
];

/** Consul takes Go's notation, or a number of nanoseconds. */
const duration = z
  .union([z.string(), z.number()])
  .transform((value) => (typeof value === "number" ? value / 1e6 : parseGoDuration(value)))
  .refine((value) => value !== null && value >= 0 && value <= 2_592_000_000, {
    message: 'must be a duration such as "10s", at most 30 days',
  })
  .transform((value) => value ?? 0);
const threshold = z.number().int().min(0).max(1_000).default(0);

const checkShape = z.object({
  CheckID: idField.optional(),
  ID: idField.optional(),
  Name: textField.optional(),
  Notes: textField.default(""),
  Status: z.enum(["", "passing", "warning", "critical"]).default(""),
  TTL: duration.optional(),
  HTTP: urlField.optional(),
  Method: methodField.or(z.literal("")).default(""),
  Header: headersField.default({}),
  Body: textField.default(""),
  TLSSkipVerify: z.boolean().default(false),
  TLSServerName: z.string().max(253).default(""),
  DisableRedirects: z.boolean().default(false),
  TCP: z.string().optional(),
  GRPC: z
    .literal("")
    .transform(() => undefined)
    .or(grpcTargetField)
    .optional(),
  GRPCUseTLS: z.boolean().default(false),
  Interval: duration.optional(),
  Timeout: duration.default(0),
  SuccessBeforePassing: threshold,
  FailuresBeforeWarning: threshold,
  FailuresBeforeCritical: threshold,
  DeregisterCriticalServiceAfter: duration.default(0),
});

const serviceShape = z.object({
  Name: nameField,
  ID: idField.or(z.literal("")).optional(),
  Tags: tagsField.nullish(),
  Address: addressField.or(z.literal("")).default(""),
  Port: portField,
  Meta: metaField.nullish(),
  Namespace: namespaceField.or(z.literal("")).default(""),
  Weights: z.object({ Passing: weightField.default(1), Warning: weightField.default(1) }).nullish(),
  TaggedAddresses: z
    .record(z.string(), z.object({ Address: addressField, Port: z.number().optional() }))
    .nullish(),
  Locality: z
    .object({ Region: z.string().default(""), Zone: z.string().max(128).default("") })
    .nullish(),
  Check: z.unknown().optional(),
  Checks: z.array(z.unknown()).max(32).nullish(),
});

/** What Consul has no field for travels in `Meta`. */
const metaShape = z.object({
  "hostmesh-namespace": namespaceField.optional(),
  "hostmesh-protocol": protocolField.optional(),
  "hostmesh-balancer": z.enum(BALANCER_POLICIES).optional(),
  "hostmesh-mtls": z.literal("required").optional(),
  "hostmesh-service-port": z.coerce.number().pipe(portField).optional(),
  zone: z.string().max(128).optional(),
});

/** Body of `/v1/agent/check/update/:id`. */
const updateShape = z.object({
  Status: z.enum(["passing", "warning", "critical"]).default("passing"),
  Output: z.string().default(""),
});

/** Where a registration belongs, and how checks it does not name are treated. */
export interface RegistrationPlace {
  readonly host: string;
  /** For a registration without an address; null where the host's address is not known. */
  readonly address: string | null;
  readonly replaceChecks: boolean;
}

/** Translates the body of `/v1/agent/service/register`. Throws 400 with the path of the bad field. */
export function parseRegistration(input: unknown, place: RegistrationPlace): EndpointInput {
  const known = [...Object.keys(serviceShape.shape), ...IGNORED, ...REFUSED];
  const renamed = renameNested(canonicalKeys(input, known, ""));
  refuse(renamed, REFUSED, "");
  const body = parseInput(serviceShape, renamed);
  const meta = body.Meta ?? {};
  const extra = within("Meta", () => parseInput(metaShape, meta));
  const virtual = body.TaggedAddresses?.["virtual"];
  const namespace = extra["hostmesh-namespace"] ?? (body.Namespace || DEFAULT_NAMESPACE);
  return {
    host: place.host,
    instance: body.ID || body.Name,
    service: body.Name,
    namespace,
    address: body.Address || requireAddress(place),
    port: body.Port,
    portName: "",
    weights: { passing: body.Weights?.Passing ?? 1, warning: body.Weights?.Warning ?? 1 },
    zone: body.Locality?.Zone || (extra.zone ?? ""),
    meta,
    tags: body.Tags ?? [],
    protocol: extra["hostmesh-protocol"],
    checks: checksOf(body),
    replaceChecks: place.replaceChecks,
    implied: {
      protocol: extra["hostmesh-protocol"],
      policy: extra["hostmesh-balancer"],
      mtls: extra["hostmesh-mtls"],
      port: extra["hostmesh-service-port"] ?? (virtual?.Port || undefined),
      addresses: virtual === undefined ? [] : [virtual.Address],
    },
  };
}

/** Translates the body of `/v1/agent/check/update/:id`. */
export function parseCheckUpdate(input: unknown): z.infer<typeof updateShape> {
  return parseInput(updateShape, canonicalKeys(input, ["Status", "Output"], ""));
}

function requireAddress({ address, host }: RegistrationPlace): string {
  if (address !== null) return address;
  throw new RegistryError(400, `Address: required, the address of ${host} is not known`, "Address");
}

/** Nested objects with keys of Consul's; `Meta`, `Header` and the names of tagged addresses are the user's. */
function renameNested(service: unknown): unknown {
  if (typeof service !== "object" || service === null || Array.isArray(service)) return service;
  const body: Record<string, unknown> = { ...service };
  body["Weights"] = canonicalKeys(body["Weights"], ["Passing", "Warning"], "Weights");
  body["Locality"] = canonicalKeys(body["Locality"], ["Region", "Zone"], "Locality");
  const tagged = body["TaggedAddresses"];
  if (typeof tagged === "object" && tagged !== null && !Array.isArray(tagged)) {
    body["TaggedAddresses"] = Object.fromEntries(
      Object.entries(tagged).map(([name, value]) => [
        name,
        canonicalKeys(value, ["Address", "Port"], `TaggedAddresses.${name}`),
      ]),
    );
  }
  return body;
}

/** `Check` first, then `Checks`, as Consul numbers them. */
function checksOf(body: z.infer<typeof serviceShape>): CheckInput[] {
  const single =
    body.Check === undefined || body.Check === null ? [] : [["Check", body.Check] as const];
  const several = (body.Checks ?? []).map((each, index) => [`Checks[${index}]`, each] as const);
  return [...single, ...several].map(([path, check]) => parseCheck(check, path));
}

function parseCheck(input: unknown, path: string): CheckInput {
  const known = [...Object.keys(checkShape.shape), ...IGNORED_CHECK, ...REFUSED_CHECK];
  const renamed = canonicalKeys(input, known, path);
  refuse(renamed, REFUSED_CHECK, path);
  const check = within(path, () => parseInput(checkShape, renamed));
  return {
    id: check.CheckID ?? check.ID,
    name: check.Name,
    notes: check.Notes,
    spec: within(path, () => specOf(check)),
    deregisterMs: check.DeregisterCriticalServiceAfter,
    status: check.Status === "" ? "critical" : check.Status,
  };
}

function specOf(check: z.infer<typeof checkShape>): CheckSpec {
  const given = [check.TTL, check.HTTP, check.TCP, check.GRPC].filter((each) => each !== undefined);
  if (given.length !== 1) throw new RegistryError(400, "needs one of TTL, HTTP, TCP and GRPC", "");
  if (check.TTL !== undefined) {
    if (check.TTL < 1) throw new RegistryError(400, "TTL: must be above zero", "TTL");
    return { kind: "ttl", ttlMs: check.TTL };
  }
  if (check.Interval === undefined || check.Interval < 100) {
    throw new RegistryError(400, "Interval: required, at least 100ms", "Interval");
  }
  const failuresBeforeCritical = Math.max(1, check.FailuresBeforeCritical);
  const timing = {
    intervalMs: check.Interval,
    // Consul's default.
    timeoutMs: check.Timeout === 0 ? 10_000 : Math.max(1, check.Timeout),
    successBeforePassing: Math.max(1, check.SuccessBeforePassing),
    failuresBeforeWarning: check.FailuresBeforeWarning || failuresBeforeCritical,
    failuresBeforeCritical,
  };
  if (check.TCP !== undefined) {
    const target = parseHostPort(check.TCP, 0);
    if (!target?.port) throw new RegistryError(400, "TCP: must be HOST:PORT", "TCP");
    return { kind: "tcp", address: target.host, port: target.port, ...timing };
  }
  if (check.GRPC !== undefined) {
    const { TLSSkipVerify: tlsSkipVerify, TLSServerName: tlsServerName } = check;
    const tls = { tls: check.GRPCUseTLS, tlsSkipVerify, tlsServerName };
    return { kind: "grpc", ...check.GRPC, ...tls, ...timing };
  }
  return {
    kind: "http",
    url: check.HTTP ?? "",
    method: check.Method || "GET",
    headers: check.Header,
    body: check.Body,
    followRedirects: !check.DisableRedirects,
    tlsSkipVerify: check.TLSSkipVerify,
    tlsServerName: check.TLSServerName,
    ...timing,
  };
}

function refuse(input: unknown, names: readonly string[], path: string): void {
  for (const [key, value] of Object.entries(input ?? {})) {
    const empty = value === "" || value === null || value === false;
    if (empty || !names.includes(key)) continue;
    const where = path === "" ? key : `${path}.${key}`;
    throw new RegistryError(400, `${where}: not supported`, where);
  }
}

/** Prefixes the path of what goes wrong inside. */
function within<T>(path: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (!(cause instanceof RegistryError)) throw cause;
    const where = cause.path ? `${path}.${cause.path}` : path;
    throw new RegistryError(cause.status, `${path}: ${cause.message}`, where, cause);
  }
}
