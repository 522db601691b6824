import type {
  AuthorizationPolicy,
  AuthorizationRule,
  OperationMatch,
  Policy,
  SourceMatch,
} from "../../src/core/policy.ts";
import { parseRequestHead } from "../../src/http/h1/parser.ts";
import {
  type AuthorizationRequest,
  Authorizer,
  type WorkloadAuthorizer,
} from "../../src/proxy/routing/authorize/authorizer.ts";
import { spread } from "../lib/statistics.ts";
import { figureLines, type Options, parseOptions } from "./options.ts";

/**
 * CPU time of one decision about an HTTP request, with the very code of the data path and without sockets, as the
 * policies of one workload grow. The path of each request is a text that was never seen before, as it is when it comes
 * out of a parser; the loop around it is measured alone and taken off.
 */
const USAGE = `node bench/micro/authorize.ts [options]

  --points N,N,...  policies that cover the workload (default 0,10,100,1000)
  --rounds N        rounds, of which the median counts (default 15)
  --requests N      requests of a step in a round (default 200000)

  allow     each policy allows one caller one path; the last of them matches
  deny      each policy denies a subtree of paths; none matches, and a namespace is allowed
  miss      policies by principal, namespace, subnet, path template, header, host, port and method in turn;
            none matches, so that everything is looked up
  all       policies that share all they can be found by, and differ in their not-forms: each is looked at,
            and none matches. What indexing cannot help
  headers   each policy denies by a header of its own, which the request does not have
  claims    the same with a claim; the token has ten others
  regex     each policy denies by an expression for the path that begins with a text of its own
  regexes   the same, but with the same text at the beginning of all, which the path has, and one of its own behind it
  classes   an expression of which all that is known beforehand is in the path: each is run`;

const SHAPES = [
  "allow",
  "deny",
  "miss",
  "all",
  "headers",
  "claims",
  "regex",
  "regexes",
  "classes",
] as const;
const DENYING: readonly Shape[] = SHAPES.filter((shape) => shape !== "allow" && shape !== "miss");
type Shape = (typeof SHAPES)[number];

const DEFAULTS = { points: "0,10,100,1000", rounds: "15", requests: "200000" };
const NUMBER = /^\d+$/;
const WARM_ROUNDS = 3;
/** Requests repeat after this many. */
const ORDER = 4_096;

interface Subject {
  readonly shape: Shape;
  readonly points: number;
  readonly authorizer: WorkloadAuthorizer;
  readonly allowed: boolean;
  /** One value a round. */
  readonly nanos: number[];
}

function rule(
  from: SourceMatch | null,
  to: OperationMatch | null = null,
  condition?: readonly [key: string, value: string],
): AuthorizationRule {
  return {
    from: from === null ? [] : [from],
    to: to === null ? [] : [to],
    when:
      condition === undefined ? [] : [{ key: condition[0], values: [condition[1]], notValues: [] }],
  };
}

const CALLER = "cluster.local/ns/web/sa/frontend";
const PATH = "/api/v1/orders/";

/** The rule of the policy with that number. */
function ruleOf(shape: Shape, index: number, points: number): AuthorizationRule {
  if (shape === "allow") {
    const principal = index === points - 1 ? CALLER : `cluster.local/ns/team-${index}/sa/app`;
    return rule({ principals: [principal] }, { methods: ["GET"], paths: [`${PATH}*`] });
  }
  if (shape === "deny") return rule(null, { paths: [`/api/v1/hidden-${index}/*`] });
  if (shape === "all") {
    const notPrincipals = [CALLER, `cluster.local/ns/team-${index}/sa/app`];
    return rule({ namespaces: ["web"], notPrincipals }, { paths: [`${PATH}*`] });
  }
  if (shape === "headers") return rule(null, null, [`request.headers[x-h-${index}]`, "yes"]);
  if (shape === "claims") return rule(null, null, [`request.auth.claims[c${index}]`, "yes"]);
  if (shape === "regex") {
    return rule(null, { pathRegexes: [`(?:/api/v1/hidden-${index}/[0-9]+)(?s:.*)`] });
  }
  if (shape === "regexes") return rule(null, { pathRegexes: [`/api/v[0-9]+/hidden-${index}/.*`] });
  if (shape === "classes") {
    return rule(null, { pathRegexes: [`/api/v[0-9]+/[a-z]+/[a-m]{${1 + (index % 9)}}[0-9]*`] });
  }
  const [b, c] = [(index >> 8) & 255, index & 255];
  const kinds: readonly AuthorizationRule[] = [
    rule({ principals: [`cluster.local/ns/web/sa/front-${index}`] }),
    rule({ namespaces: [`web-${index}*`] }),
    rule({ ipBlocks: [`172.${b}.${c}.0/24`, `fd00:${c}::/32`] }),
    rule(null, { paths: [`/api/v1/orders-${index}/{*}/items`] }),
    rule(null, null, ["request.headers[x-user]", `user-${index}`]),
    rule(null, { hosts: [`*.team-${index}.example`] }),
    rule(null, { ports: [10_000 + index] }),
    rule(null, { methods: [`M${index}`] }),
  ];
  return kinds[index % kinds.length]!;
}

function policiesOf(shape: Shape, points: number): Policy[] {
  const action = DENYING.includes(shape) ? "deny" : "allow";
  const policy = (name: string, of: AuthorizationRule, does: AuthorizationPolicy["action"]) =>
    ({
      kind: "authorization",
      source: name,
      createdMs: 0,
      scope: { namespace: null, labels: {} },
      action: does,
      dryRun: false,
      rules: [of],
    }) as const;
  const many = Array.from({ length: points }, (_, index) =>
    policy(`p-${index}`, ruleOf(shape, index, points), action),
  );
  const others = shape === "deny" && points > 0 ? [rule({ namespaces: ["web"] })] : [];
  return [...many, ...others.map((of) => policy("namespace", of, "allow"))];
}

function subjectOf(shape: Shape, points: number): Subject {
  const authorizer = new Authorizer({ clock: { now: () => 0 }, onAudit: () => {} });
  const policies = policiesOf(shape, points).map((policy, index) => [String(index), policy]);
  authorizer.apply({ byKey: Object.fromEntries(policies), jwks: {} });
  const workload = authorizer.for({
    key: "shop/cart",
    namespace: "shop",
    serviceAccount: "cart",
    labels: {},
    services: ["cart"],
    identity: "spiffe://cluster.local/ns/shop/sa/cart",
  });
  const allowed = shape !== "miss" || points === 0;
  return { shape, points, authorizer: workload, allowed, nanos: [] };
}

const HEAD = [
  "GET /api/v1/orders/1 HTTP/1.1",
  "Host: cart.shop",
  "User-Agent: bench/1",
  "Accept: application/json",
  "Accept-Encoding: gzip",
  "X-User: somebody",
  "X-Request-Id: 3f2c9b5e-1111-4222-8333-123456789abc",
  "Cookie: theme=dark; lang=en",
  "Content-Type: application/json",
  "",
  "",
].join("\r\n");

const LINES = Array.from({ length: ORDER }, (_, index) => `${PATH}${1_000_000 + index}`);
const LINE_LENGTH = PATH.length + 7;
const TEXT = LINES.join("");

const request: AuthorizationRequest = {
  principal: CALLER,
  sourceAddress: "10.1.2.3",
  remoteAddress: "10.1.2.3",
  destinationAddress: "10.9.9.9",
  destinationPort: 8_080,
  head: parseRequestHead(HEAD, { headerCount: 100 }),
  path: "",
  claims: Object.fromEntries(
    ["iss", "sub", "aud", "exp", "iat", "jti", "azp", "scope", "groups", "email"].map((name) => [
      name,
      `${name}-1`,
    ]),
  ),
  sni: "",
};

/** CPU time per request in nanoseconds. */
function time(subject: Subject | null, requests: number): number {
  const before = process.threadCpuUsage();
  let wrong = 0;
  for (let index = 0; index < requests; index++) {
    const at = (index % ORDER) * LINE_LENGTH;
    request.path = TEXT.slice(at, at + LINE_LENGTH);
    if (subject === null) wrong += request.path.length === LINE_LENGTH ? 0 : 1;
    else if (subject.authorizer.decide(request).allowed !== subject.allowed) wrong += 1;
  }
  const { user, system } = process.threadCpuUsage(before);
  if (wrong > 0) throw new Error(`${wrong} of ${requests} decisions were wrong`);
  return ((user + system) * 1_000) / requests;
}

/** Where every policy costs an expression, a step has fewer requests: one for so many of another one. */
function shareOf({ shape, points }: Subject): number {
  return shape === "classes" ? Math.max(1, points / 5) : 1;
}

/** Everybody in turn, round after round, so that what changes on the machine meets all of them. */
function measure(subjects: readonly Subject[], { rounds, requests }: Options): number {
  const alone: number[] = [];
  for (let round = -WARM_ROUNDS; round < rounds; round++) {
    const loop = time(null, requests);
    if (round >= 0) alone.push(loop);
    for (const subject of subjects) {
      const nanos = time(subject, Math.ceil(requests / shareOf(subject)));
      if (round >= 0) subject.nanos.push(nanos);
    }
  }
  return spread(alone).median;
}

function report(subjects: readonly Subject[], { points }: Options, loop: number): string[] {
  const rows = points.map((count) => {
    const cells = SHAPES.map((shape) => {
      const found = subjects.find((subject) => subject.shape === shape && subject.points === count);
      const { median, max } = spread(found?.nanos ?? []);
      return `${(median - loop).toFixed(0)} (${(max - loop).toFixed(0)})`;
    });
    return [String(count), ...cells];
  });
  return figureLines(["policies", ...SHAPES.map((shape) => `${shape} ns (max)`)], rows);
}

if (process.argv.includes("--help")) console.log(USAGE);
else {
  const options = parseOptions(process.argv.slice(2), DEFAULTS, NUMBER);
  const subjects = SHAPES.flatMap((shape) =>
    options.points.map((points) => subjectOf(shape, points)),
  );
  const loop = measure(subjects, options);
  for (const line of report(subjects, options, loop)) console.log(line);
}
