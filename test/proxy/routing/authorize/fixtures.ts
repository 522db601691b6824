import type {
  AuthorizationPolicy,
  AuthorizationRule,
  Condition,
  IntentionsPolicy,
  JwtRule,
  OperationMatch,
  PeerPolicy,
  Policies,
  Policy,
  PolicyTarget,
  RequestAuthenticationPolicy,
  SourceMatch,
} from "../../../../src/core/policy.ts";
import type { RequestHead } from "../../../../src/http/message.ts";
import {
  type AuthorizationRequest,
  Authorizer,
} from "../../../../src/proxy/routing/authorize/authorizer.ts";
import { latin1, parseRequest } from "../../../helpers/heads.ts";

export const TARGET: PolicyTarget = {
  key: "shop/cart-1",
  namespace: "shop",
  serviceAccount: "cart",
  labels: { app: "cart", tier: "back" },
  services: ["cart"],
  identity: "spiffe://cluster.local/ns/shop/sa/cart",
};

const EVERYWHERE = { namespace: null, labels: {} } as const;

/** A parsed head; without fields it has a Host, with null it has none. */
export function head(line = "GET / HTTP/1.1", fields: readonly string[] | null = []): RequestHead {
  const given = fields ?? [];
  const needsHost = fields !== null && !given.some((field) => /^host:/i.test(field));
  const lines = [line, ...(needsHost ? ["Host: cart.shop"] : []), ...given];
  return parseRequest([latin1(`${lines.join("\r\n")}\r\n\r\n`)]);
}

/** An HTTP request of the frontend, but for what is said otherwise. */
export function request(given: Partial<AuthorizationRequest> = {}): AuthorizationRequest {
  const of = given.head === undefined ? head() : given.head;
  return {
    principal: "cluster.local/ns/web/sa/frontend",
    sourceAddress: "10.1.2.3",
    remoteAddress: "10.1.2.3",
    destinationAddress: "10.9.9.9",
    destinationPort: 8080,
    path: of === null ? "" : (of.path.split("?")[0] ?? ""),
    claims: null,
    sni: "",
    ...given,
    head: of,
  };
}

/** A rule of one source, one operation and conditions. */
export function rule(
  source: SourceMatch | null,
  operation: OperationMatch | null = null,
  when: readonly Condition[] = [],
): AuthorizationRule {
  return {
    from: source === null ? [] : [source],
    to: operation === null ? [] : [operation],
    when,
  };
}

export function authorization(
  action: AuthorizationPolicy["action"],
  rules: readonly AuthorizationRule[],
  given: Partial<AuthorizationPolicy> = {},
): AuthorizationPolicy {
  return {
    kind: "authorization",
    source: `${action} policy`,
    createdMs: 0,
    scope: EVERYWHERE,
    dryRun: false,
    ...given,
    action,
    rules,
  };
}

export function intentions(
  rules: IntentionsPolicy["rules"],
  otherwise: "allow" | "deny",
): IntentionsPolicy {
  return {
    kind: "intentions",
    source: "intentions",
    createdMs: 0,
    scope: EVERYWHERE,
    rules,
    otherwise,
  };
}

export function peer(given: Partial<PeerPolicy>): PeerPolicy {
  return {
    kind: "peer",
    source: "peer",
    createdMs: 0,
    scope: EVERYWHERE,
    mode: "unset",
    ports: {},
    ...given,
  };
}

export function tokens(rules: readonly Partial<JwtRule>[]): RequestAuthenticationPolicy {
  return {
    kind: "request-authentication",
    source: "tokens",
    createdMs: 0,
    scope: EVERYWHERE,
    rules: rules.map((given) => ({
      issuer: "https://issuer.example",
      audiences: [],
      jwks: null,
      jwksUri: "https://issuer.example/jwks",
      timeoutMs: 5_000,
      places: { headers: [], params: [], cookies: [] },
      forwardOriginalToken: true,
      outputPayloadToHeader: "",
      outputClaimToHeaders: [],
      ...given,
    })),
  };
}

export function policies(of: readonly Policy[], jwks: Policies["jwks"] = {}): Policies {
  const named = of.map((policy, index) => [String(index).padStart(5, "0"), policy] as const);
  return { byKey: Object.fromEntries(named), jwks };
}

export interface Audit {
  readonly policy: string;
  readonly dryRun: boolean;
  readonly wouldDeny: boolean;
}

/** An authorizer with its policies applied, and what it reports. */
export function authorizerOf(of: readonly Policy[], trustDomain = "cluster.local") {
  const audits: Audit[] = [];
  const problems: string[] = [];
  const authorizer = new Authorizer({
    clock: { now: () => 0 },
    trustDomain,
    onAudit: (policy, _target, _request, dryRun, wouldDeny) =>
      audits.push({ policy, dryRun, wouldDeny }),
    onProblem: (policy, reason) => problems.push(`${policy}: ${reason}`),
  });
  authorizer.apply(policies(of));
  return { authorizer, audits, problems };
}

/** Is the request allowed where these are all the policies there are? */
export function allows(of: readonly Policy[], given: Partial<AuthorizationRequest> = {}): boolean {
  return authorizerOf(of).authorizer.for(TARGET).decide(request(given)).allowed;
}
