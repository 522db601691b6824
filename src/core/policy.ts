/**
 * Who may talk to whom: the one internal model of security policies, to which Istio's, SMI's and Consul's resources
 * are translated. The matching rules are Istio's (AuthorizationPolicy, PeerAuthentication, RequestAuthentication v1).
 */

/** `unset` inherits from the next wider scope. */
export type MtlsMode = "strict" | "permissive" | "disable" | "unset";

/** What a policy applies to: workloads in which all that is given here is so. */
export interface PolicyScope {
  /** Null: the whole mesh (Istio: a policy in the root namespace). */
  readonly namespace: string | null;
  /** Labels that a workload must have, all of them; empty: any. */
  readonly labels: Readonly<Record<string, string>>;
  /** SMI names destinations by service account. */
  readonly serviceAccount?: string;
  /** Consul names them by service, of the same namespace. */
  readonly service?: string;
  /** Workloads that serve one of these are left out: Consul's `*` is for services without intentions of their own. */
  readonly exceptServices?: readonly string[];
}

interface PolicyBase {
  /** Kind and name of the resource that it comes from, for people: `AuthorizationPolicy shop/deny-all`. */
  readonly source: string;
  /** When that resource was made, ms since the epoch: the oldest of several wins where only one can count. */
  readonly createdMs: number;
  readonly scope: PolicyScope;
}

/** Whether callers must use mutual TLS. The narrowest scope wins: labels, then namespace, then mesh; then the oldest. */
export interface PeerPolicy extends PolicyBase {
  readonly kind: "peer";
  readonly mode: MtlsMode;
  /** By port of the workload; only where the scope has labels. */
  readonly ports: Readonly<Record<string, MtlsMode>>;
}

/** Values match exactly, by prefix (`abc*`), by suffix (`*abc`), or by presence (`*`), unless said otherwise. */
export interface SourceMatch {
  /** Without `spiffe://`. */
  readonly principals?: readonly string[];
  readonly notPrincipals?: readonly string[];
  readonly namespaces?: readonly string[];
  readonly notNamespaces?: readonly string[];
  /** `namespace/account`, exactly. */
  readonly serviceAccounts?: readonly string[];
  readonly notServiceAccounts?: readonly string[];
  readonly trustDomains?: readonly string[];
  readonly notTrustDomains?: readonly string[];
  /** Addresses or subnets (CIDR) of the peer that connected. */
  readonly ipBlocks?: readonly string[];
  readonly notIpBlocks?: readonly string[];
  /** The same of the original client, which X-Forwarded-For tells. */
  readonly remoteIpBlocks?: readonly string[];
  readonly notRemoteIpBlocks?: readonly string[];
  /** `issuer/subject` of a valid token. */
  readonly requestPrincipals?: readonly string[];
  readonly notRequestPrincipals?: readonly string[];
}

export interface OperationMatch {
  /** Without regard to case. */
  readonly hosts?: readonly string[];
  readonly notHosts?: readonly string[];
  /** Ports of the workload. */
  readonly ports?: readonly number[];
  readonly notPorts?: readonly number[];
  readonly methods?: readonly string[];
  readonly notMethods?: readonly string[];
  /** Also templates with `{*}` (one segment) and `{**}` (any). Matched against the normalised path without query. */
  readonly paths?: readonly string[];
  readonly notPaths?: readonly string[];
  /** RE2 syntax, for the whole path (SMI's HTTPRouteGroup, Consul's pathRegex). */
  readonly pathRegexes?: readonly string[];
  /** By lower-case name, RE2 syntax, for the whole value; all must match. */
  readonly headerRegexes?: Readonly<Record<string, string>>;
}

/** Istio's `when`. The translator has checked that the key is one of Istio's. */
export interface Condition {
  readonly key: string;
  readonly values: readonly string[];
  readonly notValues: readonly string[];
}

/** All parts must match; of a list at least one; an empty list matches everything. */
export interface AuthorizationRule {
  readonly from: readonly SourceMatch[];
  readonly to: readonly OperationMatch[];
  readonly when: readonly Condition[];
}

/** Allows, denies or reports what any of its rules matches. No rules: never matches. */
export interface AuthorizationPolicy extends PolicyBase {
  readonly kind: "authorization";
  readonly action: "allow" | "deny" | "audit";
  /** Decided and reported, but without effect. */
  readonly dryRun: boolean;
  readonly rules: readonly AuthorizationRule[];
}

/**
 * Consul's intentions for one destination: the first rule that matches decides, and `otherwise` where none does.
 * Asked behind the `deny` policies; an `allow` of it counts as one of an `allow` policy.
 */
export interface IntentionsPolicy extends PolicyBase {
  readonly kind: "intentions";
  readonly rules: readonly (AuthorizationRule & { readonly effect: "allow" | "deny" })[];
  readonly otherwise: "allow" | "deny";
}

/** Where a token is looked for. */
export interface TokenPlaces {
  /** Lower-case names; `prefix` is cut off before the token. */
  readonly headers: readonly { readonly name: string; readonly prefix: string }[];
  readonly params: readonly string[];
  readonly cookies: readonly string[];
}

/** Keys of one JWKS document at the most; each costs memory in every worker. */
export const MAX_JWKS_KEYS = 128;

export interface JwtRule {
  readonly issuer: string;
  /** Empty: any. */
  readonly audiences: readonly string[];
  /** A JWKS document as JSON; null: it is to be fetched from `jwksUri`. */
  readonly jwks: string | null;
  readonly jwksUri: string;
  /** Time limit of that fetch. */
  readonly timeoutMs: number;
  readonly places: TokenPlaces;
  /** Does the application get the token too? */
  readonly forwardOriginalToken: boolean;
  /** Lower-case header for the payload in base64url; empty: none. */
  readonly outputPayloadToHeader: string;
  readonly outputClaimToHeaders: readonly { readonly header: string; readonly claim: string }[];
}

/** Which tokens are accepted. A request without a token passes, one with an invalid token gets 401. */
export interface RequestAuthenticationPolicy extends PolicyBase {
  readonly kind: "request-authentication";
  readonly rules: readonly JwtRule[];
}

export type Policy =
  | PeerPolicy
  | AuthorizationPolicy
  | IntentionsPolicy
  | RequestAuthenticationPolicy;

/** A workload as policies select it. */
export interface PolicyTarget {
  /** Unique over the host. */
  readonly key: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Names of the services that it serves. */
  readonly services: readonly string[];
  /** Its SPIFFE ID. */
  readonly identity: string;
}

/** All policies that a worker knows. A new one replaces the one before as a whole. */
export interface Policies {
  /** By the key of the record. */
  readonly byKey: Readonly<Record<string, Policy>>;
  /** By URI: the newest JWKS document that was fetched, as JSON; null: none could be had. */
  readonly jwks: Readonly<Record<string, string | null>>;
}

/** Does the scope cover the workload? */
export function covers(scope: PolicyScope, target: PolicyTarget): boolean {
  if (scope.namespace !== null && scope.namespace !== target.namespace) return false;
  if (scope.serviceAccount !== undefined && scope.serviceAccount !== target.serviceAccount) {
    return false;
  }
  if (scope.service !== undefined && !target.services.includes(scope.service)) return false;
  if (scope.exceptServices?.some((name) => target.services.includes(name))) return false;
  return Object.entries(scope.labels).every(([name, value]) => target.labels[name] === value);
}

/** Rank of scopes where only the narrowest counts: 2 for chosen workloads, 1 for a namespace, 0 for the mesh. */
function rank({ namespace, labels, serviceAccount, service }: PolicyScope): number {
  const chosen = Object.keys(labels).length > 0 || serviceAccount !== undefined || service;
  if (chosen) return 2;
  return namespace === null ? 0 : 1;
}

/**
 * What callers of the workload's port must do: PeerAuthentication's precedence, and PERMISSIVE where nothing is said
 * (Istio's default). Within a scope the oldest policy counts, and at the same age the first by key.
 */
export function mtlsModeOf(
  policies: readonly PeerPolicy[],
  target: PolicyTarget,
  port: number,
): Exclude<MtlsMode, "unset"> {
  for (const wanted of [2, 1, 0]) {
    const found = policies
      .filter(({ scope }) => rank(scope) === wanted && covers(scope, target))
      .sort((a, b) => a.createdMs - b.createdMs || (a.source < b.source ? -1 : 1))[0];
    if (found === undefined) continue;
    const byPort = wanted === 2 ? (found.ports[String(port)] ?? "unset") : "unset";
    const mode = byPort === "unset" ? found.mode : byPort;
    if (mode !== "unset") return mode;
  }
  return "permissive";
}
