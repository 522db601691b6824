import type { Backend, RouteMatch, RouteRule, RouteTable } from "../../src/core/traffic.ts";
import { parseRequestHead } from "../../src/http/h1/parser.ts";
import type { RequestHead } from "../../src/http/message.ts";
import { type RouteRequest, RouteSet } from "../../src/proxy/routing/match/route-set.ts";
import { HeadEdits } from "../../src/proxy/routing/transform/head-edits.ts";
import { rewritePath } from "../../src/proxy/routing/transform/path-rewrite.ts";
import { requestLine } from "../../src/proxy/routing/transform/request-line.ts";
import { spread } from "../lib/statistics.ts";
import { figureLines, type Options, parseOptions } from "./options.ts";

/**
 * CPU time of finding the rule of one request and its backend, with the very code of the data path and without sockets,
 * as the rules of one service grow. Paths are texts that were never seen before and heads are parsed anew in each
 * round, as they come out of a connection; the loop around it is measured alone and taken off.
 */
const USAGE = `node bench/micro/routes.ts [options]

  --points N,N,...  rules of the service (default 1,10,100,1000,10000)
  --rounds N        rounds, of which the median counts (default 9)
  --requests N      requests of a step in a round (default 20000)

  exact     each rule has a path of its own
  prefix    each rule has a prefix of its own (Istio: text)
  segments  the same by whole path elements, in Gateway API's order
  header    all rules have the same prefix, and each a value of its own of one header
  names     all rules have the same prefix, and each a header of its own
  query     all rules have the same prefix, and each a value of its own of one query parameter
  grid      so many paths times as many values of a header: neither alone tells much
  regex     each rule has an expression for the path that begins with a text of its own
  cookie    each rule has an expression for the cookie (at most 100: each is looked at)
  miss      as exact, and none matches

In each shape the rule in the middle matches, and has two backends. The lines below the table are one request with an
ordinary table (four rules as tutorials have them); the same with a path rewritten, and with headers edited instead.`;

const SHAPES = [
  "exact",
  "prefix",
  "segments",
  "header",
  "names",
  "query",
  "grid",
  "regex",
  "cookie",
  "miss",
] as const;
type Shape = (typeof SHAPES)[number];

const DEFAULTS = { points: "1,10,100,1000,10000", rounds: "9", requests: "20000" };
const NUMBER = /^[1-9]\d*$/;
const WARM_ROUNDS = 2;
/** Different heads of a round. */
const HEADS = 512;
const MOST_COOKIES = 100;

interface Subject {
  readonly name: string;
  readonly set: RouteSet;
  readonly head: string;
  readonly found: boolean;
  readonly after: (head: RequestHead) => number;
  /** One value a round. */
  readonly nanos: number[];
}

function backend(service: string, weight: number): Backend {
  return { service, weight };
}

function rule(name: string, matches: readonly RouteMatch[]): RouteRule {
  const backends = [backend("shop/reviews-v1", 95), backend("shop/reviews-v2", 5)];
  return { name, matches, action: { kind: "forward", backends } };
}

function table(rules: readonly RouteRule[], order: RouteTable["order"] = "listed"): RouteTable {
  return {
    source: "VirtualService shop/reviews",
    createdMs: 0,
    protocol: "http",
    role: "route",
    services: ["shop/reviews"],
    clients: null,
    rank: 30,
    order,
    otherwise: "refuse",
    rules,
  };
}

const PREFIX = { kind: "prefix", value: "/api/" } as const;

function header(name: string, value: string): RouteMatch {
  return { path: PREFIX, headers: [{ name, match: { kind: "exact", value } }] };
}

function matchOf(shape: Shape, index: number, points: number): RouteMatch {
  const side = Math.ceil(Math.sqrt(points));
  switch (shape) {
    case "exact":
    case "miss":
      return { path: { kind: "exact", value: `/api/v1/orders/${index}/items` } };
    case "prefix":
      return { path: { kind: "prefix", value: `/api/v1/orders/${index}/` } };
    case "segments":
      return { path: { kind: "segments", value: `/api/v1/orders/${index}` } };
    case "header":
      return header("x-user", `user-${index}`);
    case "names":
      return header(`x-user-${index}`, "yes");
    case "query":
      return {
        path: PREFIX,
        query: [{ name: "user", match: { kind: "exact", value: `user-${index}` } }],
      };
    case "grid":
      return {
        ...header("x-user", `user-${index % side}`),
        path: { kind: "prefix", value: `/api/v1/orders/${Math.floor(index / side)}/` },
      };
    case "regex":
      return { path: { kind: "regex", value: `/api/v1/orders/${index}/[a-z]+` } };
    case "cookie":
      return {
        headers: [
          { name: "cookie", match: { kind: "regex", value: `^(.*?;)?(user=u${index})(;.*)?$` } },
        ],
      };
  }
}

function headOf(path: string, fields: readonly string[] = []): string {
  return [
    `GET ${path} HTTP/1.1`,
    "Host: reviews.shop",
    "User-Agent: bench/1",
    "Accept: application/json",
    "Accept-Encoding: gzip",
    "X-Request-Id: 3f2c9b5e-1111-4222-8333-123456789abc",
    "Content-Type: application/json",
    ...fields,
    "",
    "",
  ].join("\r\n");
}

function shapeSubject(shape: Shape, wanted: number): Subject {
  const points = shape === "cookie" ? Math.min(wanted, MOST_COOKIES) : wanted;
  const middle = Math.floor(points / 2);
  const side = Math.ceil(Math.sqrt(points));
  const rules = Array.from({ length: points }, (_, index) =>
    rule(String(index), [matchOf(shape, index, points)]),
  );
  const order = shape === "grid" ? Math.floor(middle / side) : middle;
  const path = `/api/v1/orders/${shape === "miss" ? "none" : order}/items?a=1&user=user-${middle}`;
  const fields = [
    `X-User: user-${shape === "grid" ? middle % side : middle}`,
    `X-User-${middle}: yes`,
    `Cookie: user=u${middle}`,
  ];
  return {
    name: `${shape} ${wanted}`,
    set: routeSet([table(rules, shape === "segments" ? "specific" : "listed")]),
    head: headOf(path, fields),
    found: shape !== "miss",
    after: () => 1,
    nanos: [],
  };
}

function routeSet(tables: readonly RouteTable[]): RouteSet {
  return new RouteSet(tables, (source, reason) => {
    throw new Error(`${source}: ${reason}`);
  });
}

/** What tutorials have: by a header, by a cookie, by a path, and the rest. */
const ORDINARY: readonly RouteRule[] = [
  rule("user", [{ headers: [{ name: "end-user", match: { kind: "exact", value: "jason" } }] }]),
  rule("canary", [
    {
      headers: [
        { name: "cookie", match: { kind: "regex", value: "^(.*?;)?(canary=always)(;.*)?$" } },
      ],
    },
  ]),
  rule("old", [{ path: { kind: "prefix", value: "/old/" } }]),
  rule("rest", []),
];
const REWRITE = { kind: "prefix", value: "/new/" } as const;
const EDITS = HeadEdits.of([
  { set: [["x-version", "v2"]], add: [["x-seen", "mesh"]], remove: ["user-agent"] },
]);

function ordinarySubjects(): Subject[] {
  const match: RouteMatch = { path: { kind: "prefix", value: "/old/" } };
  const head = headOf("/old/items?a=1", ["Cookie: theme=dark; lang=en"]);
  const subject = (name: string, after: Subject["after"]): Subject => ({
    name,
    set: routeSet([table(ORDINARY)]),
    head,
    found: true,
    after,
    nanos: [],
  });
  return [
    subject("match and backend", () => 1),
    subject(
      "that and a path rewritten",
      ({ path }) => requestLine(head, { path: rewritePath(path, REWRITE, match) }).length,
    ),
    subject("that and headers edited", () => EDITS?.apply(head).length ?? 0),
  ];
}

function requestsOf({ head }: Subject): RouteRequest[] {
  return Array.from({ length: HEADS }, () => ({
    head: parseRequestHead(Buffer.from(head, "latin1").toString("latin1"), { headerCount: 100 }),
    host: "reviews.shop",
    scheme: "http",
    port: 80,
    source: { namespace: "web", labels: {} },
  }));
}

/** CPU time per request in nanoseconds; each head is used once, because its fields are split at the first use. */
function time(subject: Subject, requests: number): number {
  let nanos = 0;
  let done = 0;
  while (done < requests) {
    const list = requestsOf(subject);
    nanos += timeOf(subject, list) - timeOf(null, list);
    done += list.length;
  }
  return nanos / done;
}

/** Null: the loop alone. */
function timeOf(subject: Subject | null, requests: readonly RouteRequest[]): number {
  const begin = process.hrtime.bigint();
  let wrong = 0;
  for (const request of requests) {
    if (subject === null) wrong += request.head.path === "" ? 1 : 0;
    else if (!isRight(subject, request)) wrong += 1;
  }
  const nanos = Number(process.hrtime.bigint() - begin);
  if (wrong > 0) throw new Error(`${subject?.name}: ${wrong} answers were wrong`);
  return nanos;
}

function isRight({ set, found, after }: Subject, request: RouteRequest): boolean {
  const answer = set.find(request);
  if (answer === null || answer === "refuse") return !found;
  return found && answer.rule.pickBackend() >= 0 && after(request.head) > 0;
}

/** Everybody in turn, round after round, so that what changes on the machine meets all of them. */
function measure(subjects: readonly Subject[], { rounds, requests }: Options): void {
  for (let round = -WARM_ROUNDS; round < rounds; round++) {
    for (const subject of subjects) {
      const nanos = time(subject, Math.ceil(requests / rounds));
      if (round >= 0) subject.nanos.push(nanos);
    }
  }
}

function report(subjects: readonly Subject[], { points }: Options): string[] {
  const cell = (name: string) => {
    const found = subjects.find((subject) => subject.name === name);
    return found === undefined ? "" : spread(found.nanos).median.toFixed(0);
  };
  const rows = points.map((count) => [
    String(count),
    ...SHAPES.map((shape) => cell(`${shape} ${count}`)),
  ]);
  return figureLines(["rules", ...SHAPES], rows);
}

if (process.argv.includes("--help")) console.log(USAGE);
else {
  const options = parseOptions(process.argv.slice(2), DEFAULTS, NUMBER);
  const subjects = SHAPES.flatMap((shape) =>
    options.points.map((points) => shapeSubject(shape, points)),
  );
  const ordinary = ordinarySubjects();
  measure([...subjects, ...ordinary], options);
  console.log("ns per request, median of the rounds");
  for (const line of report(subjects, options)) console.log(line);
  for (const { name, nanos } of ordinary) {
    console.log(`${name.padEnd(25)} ${spread(nanos).median.toFixed(0)} ns`);
  }
}
