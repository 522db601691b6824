import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { test } from "node:test";

const ROOT = dirname(import.meta.dirname);
const MAX_LINES = 400;

interface Rule {
  /** Files that the rule speaks of. */
  readonly of: RegExp;
  /** What they may import, besides their own folder. */
  readonly may: readonly RegExp[];
  /** What they may import as a type only. */
  readonly mayAsType?: readonly RegExp[];
}

interface Import {
  readonly from: string;
  readonly to: string;
  readonly isType: boolean;
}

const CORE = /^src\/core\//;
const CONFIG = /^src\/config\//;
const HTTP = /^src\/http\//;
const TELEMETRY = /^src\/telemetry\//;
const SIGHT = /^src\/sight\//;
const BENCH = /^bench\//;
const IDENTITY = /^src\/identity\//;
const STAGE =
  /^src\/proxy\/(downstream|routing\/match|routing\/policy|routing\/authorize|routing\/transform|upstream\/balance|upstream\/pool|upstream\/transport)\//;
/** Texts and how they are matched: what several stages of routing are made of. */
const ROUTING_TEXT = /^src\/proxy\/routing\/text\//;
const PROXY_CONTEXT = /^src\/proxy\/context\.ts$/;

/** The layers. The first rule whose `of` matches a file judges it; a file without a rule is an error. */
const RULES: readonly Rule[] = [
  { of: CORE, may: [] },
  // What runs in browsers: of the rest it knows the shape of reports, and how endpoints are judged by them.
  {
    of: /^src\/dashboard\/page\//,
    may: [/^src\/sight\/judge-endpoints\.ts$/],
    mayAsType: [SIGHT],
  },
  // In browsers too: nothing else may come along.
  { of: /^src\/sight\/judge-endpoints\.ts$/, may: [], mayAsType: [SIGHT] },
  { of: /^src\/dashboard\/build-page\.ts$/, may: [] },
  { of: CONFIG, may: [CORE] },
  { of: HTTP, may: [CORE] },
  { of: TELEMETRY, may: [CORE], mayAsType: [/^src\/sight\/(tap-event|host-report)\.ts$/] },
  // What daemons tell of their traffic, and what registries make of it.
  { of: SIGHT, may: [CORE, /^src\/telemetry\/buckets\.ts$/] },
  { of: IDENTITY, may: [CORE] },
  { of: /^src\/dialects\//, may: [CORE] },
  { of: ROUTING_TEXT, may: [CORE, HTTP] },
  { of: STAGE, may: [CORE, HTTP, IDENTITY, ROUTING_TEXT, PROXY_CONTEXT], mayAsType: [CONFIG] },
  {
    of: /^src\/proxy\/[^/]+\.ts$/,
    may: [STAGE, CORE, HTTP, IDENTITY, /^src\/telemetry\/(trace-context\.ts$|tracing\/)/],
    mayAsType: [CONFIG],
  },
  // Tells of each decision of the spine, by asking the spine itself.
  {
    of: /^src\/proxy\/explain\//,
    may: [/^src\/proxy\/[^/]+\.ts$/, STAGE, CORE, HTTP],
  },
  {
    of: /^src\/registry\//,
    may: [CORE, CONFIG, IDENTITY, SIGHT, /^src\/dialects\//, /^src\/telemetry\/log\.ts$/],
  },
  {
    of: /^src\/kubernetes\//,
    may: [
      CORE,
      CONFIG,
      /^src\/dialects\//,
      /^src\/registry\//,
      IDENTITY,
      /^src\/telemetry\/log\.ts$/,
    ],
  },
  // The page is built by itself and speaks to its server only.
  {
    of: /^src\/dashboard\/server\//,
    may: [
      CORE,
      SIGHT,
      /^src\/registry\/(?!(etcd|identity|routes)\/)/,
      /^src\/registry\/identity\/failure-limit\.ts$/,
      /^src\/dialects\/translator\.ts$/,
    ],
  },
  {
    of: /^src\/install\//,
    may: [CORE, /^src\/kubernetes\/api\/wanted-kinds\.ts$/],
  },
  {
    of: /^src\/cli\//,
    may: [
      CORE,
      CONFIG,
      /^src\/registry\//,
      /^src\/kubernetes\//,
      /^src\/install\//,
      IDENTITY,
      /^src\/dialects\//,
      /^src\/telemetry\/(log|stat-report)\.ts$/,
      SIGHT,
      /^iptables\//,
      /^daemon\//,
      BENCH,
      /^src\/dashboard\/server\//,
    ],
  },
  { of: /^iptables\//, may: [CORE, /^src\/proxy\/downstream\/libc\.ts$/] },
  { of: /^daemon\//, may: [/^src\/(?!cli\/)/, /^iptables\//] },
  // The program itself may be started, as a process of its own.
  { of: BENCH, may: [/^src\/(?!cli\/(?!main\.ts$))/, /^daemon\//, /^iptables\//] },
  { of: /^test\//, may: [/^(src|daemon|iptables|test|bench)\//] },
];

/** The layer folder of a file: what the rule matched of its path, or the folder of a whole path. */
function layerFolder(file: string, rule: Rule): string | undefined {
  const matched = rule.of.exec(file)?.[0];
  return matched?.endsWith("/") ? matched : matched && posix.dirname(matched);
}

/** What is wrong with an import, or nothing. */
function judge(imported: Import): string | undefined {
  const rule = RULES.find(({ of }) => of.test(imported.from));
  if (rule === undefined) return `${imported.from} belongs to no layer`;
  const allowed = imported.isType ? [...rule.may, ...(rule.mayAsType ?? [])] : rule.may;
  if (layerFolder(imported.to, rule) === layerFolder(imported.from, rule)) return;
  if (allowed.some((pattern) => pattern.test(imported.to))) return;
  return `${imported.from} may not import ${imported.to}${imported.isType ? " as a type" : ""}`;
}

/** Statements `import ... from`, `export ... from` and `import "..."`, over several lines too. */
const STATEMENT =
  /^[ \t]*(import|export)\b(?:\s+(type)\b(?!\s*from\b))?(?:[^;'"]*?\bfrom)?\s*["'](\.[^"']+)["']/gm;
/** `import("...")` as an expression or a type, and a worker or child started by its file. */
const EXPRESSION = /\b(?:import\(|new URL\()\s*["'](\.[^"']+\.ts)["']/g;
const COMMENT = /^[ \t]*(?:\/\/.*|\/\*[\s\S]*?\*\/)/gm;

/** The relative imports of a file's text; packages and `node:` modules are of no concern here. */
function importsOf(file: string, text: string): Import[] {
  const code = text.replace(COMMENT, "");
  const resolve = (specifier: string) => posix.join(posix.dirname(file), specifier);
  return [
    ...[...code.matchAll(STATEMENT)].map((match) => ({
      from: file,
      to: resolve(match[3]!),
      isType: match[2] === "type",
    })),
    ...[...code.matchAll(EXPRESSION)].map((match) => ({
      from: file,
      to: resolve(match[1]!),
      isType: false,
    })),
  ];
}

const files = globSync("{src,daemon,iptables,bench,test}/**/*.{ts,tsx}", { cwd: ROOT }).sort();
const textOf = (file: string) => readFileSync(join(ROOT, file), "utf8");

test("every import keeps to the layers", () => {
  assert.ok(files.length > 0, "no files were seen");
  // This file is left out: the imports in its strings are the planted ones.
  const judged = files.filter((file) => file !== "test/architecture.test.ts");
  const imports = judged.flatMap((file) => importsOf(file, textOf(file)));
  assert.ok(imports.length > judged.length / 2, `only ${imports.length} imports were seen`);
  assert.deepEqual(
    imports.flatMap((imported) => judge(imported) ?? []),
    [],
  );
});

test("every file belongs to a layer", () => {
  assert.deepEqual(
    files.filter((file) => !RULES.some(({ of }) => of.test(file))),
    [],
  );
});

test("a planted violation is caught in every form of import", () => {
  const stage = "src/proxy/upstream/pool/pool.ts";
  const planted = [
    'import {\n  a,\n  b,\n} from "../balance/balancer.ts";',
    'import "../balance/balancer.ts";',
    'import type { A } from "../balance/balancer.ts";',
    'import type A from "../balance/balancer.ts";',
    'import * as a from "../balance/balancer.ts";',
    'export { a } from "../balance/balancer.ts";',
    'export type { A } from "../balance/balancer.ts";',
    'const a = await import("../balance/balancer.ts");',
    'const a = await import(\n  "../balance/balancer.ts"\n);',
    'type A = import("../balance/balancer.ts").A;',
    'new Worker(new URL("../balance/balancer.ts", import.meta.url));',
  ];
  for (const text of planted) {
    const [found] = importsOf(stage, `export const x = 1;\n${text}\nexport const y = 2;\n`);
    assert.ok(found !== undefined, `not seen: ${text}`);
    assert.match(
      judge(found) ?? `not caught: ${text}`,
      /^src\/proxy\/upstream\/pool\/pool\.ts may not import src\/proxy\/upstream\/balance\/balancer\.ts/,
    );
  }
});

test("the layers forbid what they are there to forbid, and no more", () => {
  const verdict = (from: string, to: string, isType = false) => judge({ from, to, isType });
  const forbidden: [string, string][] = [
    ["src/dashboard/page/views/tap.tsx", "src/core/model.ts"],
    ["src/dashboard/page/views/tap.tsx", "src/sight/merge.ts"],
    ["src/core/model.ts", "src/config/schema.ts"],
    ["src/telemetry/log.ts", "src/config/schema.ts"],
    ["src/http/headers.ts", "src/proxy/context.ts"],
    ["src/proxy/routing/match/table.ts", "src/proxy/routing/policy/retry.ts"],
    ["src/proxy/routing/transform/cors.ts", "src/proxy/routing/match/route-set.ts"],
    ["src/proxy/routing/text/prefix-tree.ts", "src/proxy/routing/match/route-set.ts"],
    ["src/proxy/downstream/accept.ts", "src/proxy/exchange.ts"],
    ["src/proxy/exchange.ts", "src/telemetry/log.ts"],
    ["src/proxy/exchange.ts", "src/config/schema.ts"],
    ["src/registry/store.ts", "src/telemetry/series.ts"],
    ["iptables/apply.ts", "src/proxy/downstream/accept.ts"],
    ["src/cli/main.ts", "src/proxy/exchange.ts"],
    ["daemon/guardian.ts", "src/cli/main.ts"],
    ["daemon/guardian.ts", "test/helpers/until.ts"],
    ["src/registry/server.ts", "daemon/guardian.ts"],
    ["src/registry/server.ts", "src/kubernetes/api/kube-api.ts"],
    ["src/kubernetes/api/kube-api.ts", "src/telemetry/series.ts"],
    ["src/install/manifests.ts", "src/kubernetes/api/kube-api.ts"],
    ["src/install/manifests.ts", "src/cli/cli-error.ts"],
    ["bench/run/rounds.ts", "test/helpers/until.ts"],
    ["bench/run/rounds.ts", "src/cli/cli-error.ts"],
    ["daemon/guardian.ts", "bench/lib/workbench.ts"],
    ["src/registry/server.ts", "src/dashboard/server/start-dashboard.ts"],
    ["src/dashboard/server/access.ts", "daemon/guardian.ts"],
    ["src/new-folder/file.ts", "src/core/model.ts"],
  ];
  for (const [from, to] of forbidden) {
    assert.notEqual(verdict(from, to), undefined, `${from} -> ${to}`);
  }
  const allowed: [string, string, boolean?][] = [
    ["src/dashboard/page/views/tap.tsx", "src/sight/tap-event.ts", true],
    ["src/core/snapshot.ts", "src/core/model.ts"],
    ["src/http/h1/parser.ts", "src/http/headers.ts"],
    ["src/proxy/downstream/accept.ts", "src/proxy/context.ts"],
    ["src/proxy/routing/transform/cors.ts", "src/proxy/routing/text/text-matcher.ts"],
    ["src/proxy/exchange.ts", "src/proxy/relay.ts"],
    ["src/proxy/exchange.ts", "src/proxy/upstream/pool/pool.ts"],
    ["src/proxy/exchange.ts", "src/config/schema.ts", true],
    ["src/proxy/exchange.ts", "src/telemetry/trace-context.ts"],
    ["src/proxy/downstream/accept.ts", "src/config/schema.ts", true],
    ["src/registry/server.ts", "src/telemetry/log.ts"],
    ["iptables/apply.ts", "src/proxy/downstream/libc.ts"],
    ["src/cli/commands/daemon.ts", "daemon/guardian.ts"],
    ["src/cli/registry.ts", "src/kubernetes/api/kube-api.ts"],
    ["daemon/worker.ts", "src/proxy/exchange.ts"],
    ["src/cli/commands/bench.ts", "bench/run/run-bench.ts"],
    ["bench/run/rounds.ts", "src/core/terminal.ts"],
    ["bench/lib/free-ports.ts", "daemon/free-port.ts"],
    ["test/proxy/exchange.test.ts", "daemon/worker.ts"],
  ];
  for (const [from, to, isType] of allowed) assert.equal(verdict(from, to, isType), undefined);
});

test("no file of the product is longer than 400 lines", () => {
  const long = files
    .filter((file) => !file.startsWith("test/"))
    .map((file) => ({ file, lines: textOf(file).trimEnd().split("\n").length }))
    .filter(({ lines }) => lines > MAX_LINES);
  assert.deepEqual(long, []);
});

test("the pages that a reader looks for first are there", () => {
  for (const page of [
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
  ]) {
    assert.ok(existsSync(join(ROOT, page)), `${page} is missing`);
  }
  assert.match(textOf("LICENSE"), /Apache License\s+Version 2\.0/);
  const readme = textOf("README.md");
  for (const command of ["npm ci && npm start", "npm ci && npm test"]) {
    assert.ok(readme.includes(command), `README.md does not show: ${command}`);
  }
});
