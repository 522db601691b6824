import { mtlsModeOf, type PeerPolicy, type PolicyTarget } from "../../../core/policy.ts";
import type { CompiledPolicy } from "./compiled-policy.ts";
import { ALLOWED, Decision, type OnAudit } from "./decision.ts";
import type { Facts } from "./facts.ts";
import type { AuthorizationRequest, Verdict } from "./request.ts";
import { ruleMatches } from "./rule.ts";
import type { TokenChecker } from "./token-result.ts";

type Mode = "strict" | "permissive" | "disable";

/** Told about audits with what they are about. */
export type OnTargetAudit = (
  policy: string,
  target: PolicyTarget,
  request: AuthorizationRequest,
  dryRun: boolean,
  wouldDeny: boolean,
) => void;

/** What the proxy says of the caller's certificate; what a client says of it there is no fact. */
const CLIENT_CERTIFICATE = "x-forwarded-client-cert";

/** A policy that covers the workload, and what it makes of a request. */
export interface PolicyTrial {
  readonly source: string;
  readonly action: "allow" | "deny" | "audit" | "intentions";
  readonly dryRun: boolean;
  /** Why it cannot be used, so that it fails closed; "": it can. */
  readonly problem: string;
  /** Of each of its rules: does it match? */
  readonly rules: readonly boolean[];
}

/** The policies that cover one workload. */
export interface Covering {
  readonly target: PolicyTarget;
  readonly peers: readonly PeerPolicy[];
  readonly rules: readonly CompiledPolicy[];
  readonly tokens: TokenChecker | null;
}

/** All that policies say about one workload. */
export class CompiledAuthorizer {
  /** Nothing is to be checked: no policy covers the workload, mutual TLS is up to the caller, tokens are not read. */
  readonly open: boolean;
  /** Does a rule read what differs from request to request: HTTP attributes, tokens, X-Forwarded-For? */
  readonly ofHttp: boolean;
  /** Null: tokens are not read. */
  readonly tokens: TokenChecker | null;
  readonly #covering: Covering;
  readonly #facts: Facts;
  readonly #onAudit: OnAudit;
  readonly #guarded: ReadonlySet<string>;
  readonly #modes = new Map<number, Mode>();
  /** Made with the first request of their kind. */
  #http: Decision | null = null;
  #tcp: Decision | null = null;

  constructor(covering: Covering, facts: Facts, onAudit: OnTargetAudit) {
    const { target, peers, rules, tokens } = covering;
    this.#covering = covering;
    this.#facts = facts;
    this.#onAudit = (policy, dryRun, wouldDeny) =>
      onAudit(policy, target, facts.request, dryRun, wouldDeny);
    this.#guarded = new Set([CLIENT_CERTIFICATE, ...(tokens?.guardedHeaders ?? [])]);
    this.tokens = tokens;
    this.ofHttp = tokens !== null || rules.some(({ varies }) => varies);
    const ports = [0, ...peers.flatMap((peer) => Object.keys(peer.ports).map(Number))];
    const isPermissive = ports.every((port) => this.mtls(port) === "permissive");
    this.open = rules.length === 0 && tokens === null && isPermissive;
  }

  /** Of a port of the workload. */
  mtls(port: number): Mode {
    const known = this.#modes.get(port);
    if (known !== undefined) return known;
    const mode = mtlsModeOf(this.#covering.peers, this.#covering.target, port);
    this.#modes.set(port, mode);
    return mode;
  }

  /** All policies of rules with what `decide` finds out of them, for people. */
  trials(request: AuthorizationRequest): readonly PolicyTrial[] {
    this.#facts.load(request, this.#guarded);
    return this.#covering.rules.map((compiled) => {
      const { policy, problem } = compiled;
      const own = request.head === null ? compiled.tcp : compiled.http;
      const isPlain = policy.kind === "authorization";
      return {
        source: policy.source,
        action: isPlain ? policy.action : "intentions",
        dryRun: isPlain && policy.dryRun,
        problem,
        rules: own.map(({ rule }) => ruleMatches(rule, this.#facts)),
      };
    });
  }

  /** The policies that say whether callers must use mutual TLS, for people. */
  get peers(): readonly PeerPolicy[] {
    return this.#covering.peers;
  }

  decide(request: AuthorizationRequest): Verdict {
    const { rules } = this.#covering;
    if (rules.length === 0) return ALLOWED;
    this.#facts.load(request, this.#guarded);
    if (request.head === null) {
      this.#tcp ??= new Decision(rules, "tcp");
      return this.#tcp.decide(this.#facts, this.#onAudit);
    }
    this.#http ??= new Decision(rules, "http");
    return this.#http.decide(this.#facts, this.#onAudit);
  }
}
