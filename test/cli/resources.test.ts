import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { RunningRegistry } from "../../src/registry/registry.ts";
import { startTestRegistry } from "../helpers/registry.ts";
import { type CliResult, runCli, runCliHere } from "./run.ts";

const folder = mkdtempSync(join(tmpdir(), "hostmesh-cli-resources-"));
let registry: RunningRegistry;

before(async () => {
  registry = await startTestRegistry({ dataDir: join(folder, "data") });
});
after(async () => {
  await registry.close();
  rmSync(folder, { recursive: true, force: true });
});

function hostmesh(...args: string[]): Promise<CliResult> {
  return runCliHere([...args, "--registry", registry.url]);
}

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const GOOD = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: nothing }
spec: {}
`;
const BAD = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: bad }
spec:
  rules:
    - from:
        - source:
            principals:
              - good
              - a*b
      too: 1
`;

describe("hostmesh apply, get and delete", () => {
  it("apply what comes on standard input, in a process of its own", async () => {
    const args = ["apply", "-f", "-", "-n", "piped", "--registry", registry.url];
    const { code, stdout, stderr } = await runCli(args, { input: GOOD });
    assert.deepEqual(
      [code, stdout, stderr],
      [0, "AuthorizationPolicy piped/nothing created\n", ""],
    );
    const again = await runCli(args, { input: GOOD });
    assert.equal(again.stdout, "AuthorizationPolicy piped/nothing unchanged\n");
  });

  it("name file, line and path of what is refused, and apply the rest", async () => {
    const path = file("mixed.yaml", `${BAD}---\n${GOOD}`);
    const { code, stdout, stderr } = await hostmesh("apply", "-f", path, "-n", "mixed");
    assert.equal(code, 1);
    assert.equal(stdout, "AuthorizationPolicy mixed/nothing created\n");
    assert.deepEqual(stderr.trimEnd().split("\n"), [
      `error: ${path}:10:17: spec.rules[0].from[0].source.principals[1]: * may stand at the beginning or at the end only, and alone`,
      `error: ${path}:11:7: spec.rules[0].too: unknown field; did you mean to?`,
      "error: 1 of 2 resources are refused",
    ]);
  });

  it("leave out a document that is no YAML, and apply the others of its file and folder", async () => {
    const inside = join(folder, "broken");
    mkdirSync(inside);
    const twice = "a: 1\nb:\n  c: 1\n  c: 2\n";
    const one = file("broken/1.yaml", `${twice}---\na: [\n---\n${GOOD}`);
    file("broken/2.yaml", GOOD.replace("nothing", "other"));
    const { code, stdout, stderr } = await hostmesh("apply", "-f", inside, "-n", "broken");
    assert.equal(code, 1);
    assert.match(stdout, /broken\/nothing created\n.*broken\/other created\n$/);
    assert.match(stderr, new RegExp(`^error: ${one}:4:3: Map keys must be unique$`, "m"));
    assert.match(stderr, new RegExp(`^error: ${one}:7:1: Flow sequence`, "m"));
    assert.match(stderr, /^error: 2 of 4 resources are refused$/m);
    const analyzed = await hostmesh("analyze", "-f", inside, "-n", "broken");
    assert.equal(analyzed.code, 65);
    assert.equal(analyzed.stdout.match(/^error HM0001 /gm)?.length, 2);
    assert.equal((await hostmesh("delete", "-f", inside, "-n", "broken")).code, 2);
  });

  it("refuse what is too large with the registry's figure, and soon", async () => {
    const labels = Array.from({ length: 40_000 }, (_, at) => `    key-${at}: value-${at}\n`);
    const large = GOOD.replace(
      "{ name: nothing }",
      `\n  name: large\n  labels:\n${labels.join("")}`,
    );
    const { code, stderr } = await hostmesh("apply", "-f", file("large.yaml", large));
    assert.equal(code, 1);
    assert.match(stderr, /large\.yaml:1:1: a resource of more than 524288 characters/);
  });

  it("list the endpoints of a host that a ServiceEntry brought", async () => {
    const entry = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ext, namespace: hosts }
spec:
  hosts: [ext.example.com]
  ports: [{ number: 80, name: http, protocol: HTTP }]
  resolution: STATIC
  endpoints: [{ address: 192.0.2.7 }]
`;
    const applied = await hostmesh("apply", "-f", file("entry.yaml", entry));
    assert.equal(applied.code, 0, applied.stderr);
    for (const name of ["ext.example.com", "ext.example.com.hosts"]) {
      const { code, stdout, stderr } = await hostmesh("service", "list", name);
      assert.equal(code, 0, stderr);
      assert.match(stdout, /192\.0\.2\.7:80/);
    }
  });

  it("refuse by itself what would keep the registry from taking the whole request", async () => {
    const cyclic = `${GOOD.replace("nothing", "cyclic").replace("spec: {}", "spec: &a { rules: [*a] }")}`;
    const prototype = GOOD.replace("nothing }", "proto, labels: { __proto__: x } }");
    const path = file("unsendable.yaml", `${cyclic}---\n${prototype}---\n${GOOD}`);
    for (const command of ["apply", "analyze"]) {
      const { code, stderr, stdout } = await hostmesh(command, "-f", path, "-n", "unsent");
      assert.equal(code, command === "apply" ? 1 : 79, stderr + stdout);
      assert.match(stdout + stderr, /unsendable\.yaml:\d+:\d+: .*nested/);
      assert.match(stdout + stderr, /unsendable\.yaml:8:\d+: metadata\.labels\.__proto__: /);
    }
    const { stdout } = await hostmesh("get", "ap", "-n", "unsent");
    assert.match(stdout, /nothing/);
  });

  it("apply more at once than one request may hold", async () => {
    const padding = "x".repeat(260_000);
    const resource = (name: string) => ({
      apiVersion: "security.istio.io/v1",
      kind: "AuthorizationPolicy",
      metadata: { name, namespace: "large", annotations: { a: padding } },
      spec: {},
    });
    const list = Array.from({ length: 40 }, (_, index) => resource(`p${index}`));
    const path = file("large.json", JSON.stringify(list));
    const { code, stdout, stderr } = await hostmesh("apply", "--dry-run", "-f", path);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.equal(stdout.trim().split("\n").length, 40);
  });

  it("take merge keys, as kubectl does", async () => {
    const path = file(
      "merge.yaml",
      `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: merged, namespace: merging }
spec:
  hosts: [reviews]
  http:
    - &canary
      match: [{ uri: { prefix: /v2 } }]
      route: [{ destination: { host: reviews } }]
    - <<: *canary
      match: [{ uri: { prefix: /v1 } }]
`,
    );
    const { code, stderr } = await hostmesh("apply", "-f", path);
    assert.deepEqual([code, stderr], [0, ""]);
  });

  it("change nothing with --dry-run", async () => {
    const path = file("dry.yaml", GOOD);
    const { code, stdout } = await hostmesh("apply", "-f", path, "-n", "dry", "--dry-run");
    assert.deepEqual([code, stdout], [0, "AuthorizationPolicy dry/nothing created (dry run)\n"]);
    const { stdout: list } = await hostmesh("get", "-n", "dry", "-o", "json");
    assert.deepEqual(JSON.parse(list), []);
  });

  it("read folders, lists, and the form in which kubectl prints", async () => {
    const inside = join(folder, "many");
    mkdirSync(inside);
    const resource = (name: string) => ({
      apiVersion: "security.istio.io/v1",
      kind: "PeerAuthentication",
      metadata: { name, namespace: "many" },
    });
    const list = { apiVersion: "v1", kind: "List", items: [resource("a"), resource("b")] };
    writeFileSync(join(inside, "1.json"), JSON.stringify(list));
    writeFileSync(join(inside, "2.yml"), JSON.stringify({ resources: [resource("c")] }));
    writeFileSync(join(inside, "notes.txt"), "not: a: resource");
    const { code, stdout } = await hostmesh("apply", "-f", inside);
    assert.equal(code, 0);
    assert.deepEqual(
      stdout.trimEnd().split("\n"),
      ["a", "b", "c"].map((name) => `PeerAuthentication many/${name} created`),
    );
  });

  it("list by kind, in the plural, short, and by name", async () => {
    const names = async (...args: string[]) => {
      const { code, stdout } = await hostmesh("get", ...args, "-o", "json");
      assert.equal(code, 0);
      return JSON.parse(stdout).map(({ name }: { name: string }) => name);
    };
    assert.deepEqual(await names("peerauthentications"), ["a", "b", "c"]);
    assert.deepEqual(await names("PA", "b"), ["b"]);
    assert.deepEqual(await names("pa", "-n", "elsewhere"), []);
    const { stdout } = await hostmesh("get", "pa");
    assert.match(stdout, /^KIND +NAMESPACE +NAME +RECORDS +WARNINGS +GENERATION +CREATED$/m);
    assert.match(stdout, /^PeerAuthentication +many +a +1 +0 +1 +\d{4}-/m);
    const missing = await hostmesh("get", "pa", "none");
    assert.deepEqual(
      [missing.code, missing.stderr.split("\n")[0]],
      [1, "error: there is no pa none"],
    );
    const unknown = await hostmesh("get", "deployments");
    assert.equal(unknown.code, 2);
    assert.match(unknown.stderr, /hint: known: AuthorizationPolicy \(ap\)/);
  });

  it("give structured output with lines for programs", async () => {
    const path = file("json.yaml", BAD);
    const { code, stdout } = await hostmesh("apply", "-f", path, "-n", "out", "-o", "json");
    assert.equal(code, 1);
    const [only] = JSON.parse(stdout);
    assert.deepEqual([only.file, only.line, only.result], [path, 1, "refused"]);
    assert.deepEqual([only.errors[1].line, only.errors[1].path], [11, "spec.rules[0].too"]);
  });

  it("delete by name and by file, and say what is not there", async () => {
    const done = await hostmesh("delete", "PeerAuthentication", "a", "-n", "many");
    assert.deepEqual([done.code, done.stdout], [0, "PeerAuthentication many/a deleted\n"]);
    const rest = await hostmesh("delete", "-f", join(folder, "many"));
    assert.equal(rest.code, 1);
    assert.match(rest.stdout, /many\/b deleted\n.*many\/c deleted/);
    assert.match(rest.stderr, /^error: there is no PeerAuthentication many\/a$/m);
    for (const args of [["delete"], ["delete", "pa"], ["delete", "pa", "a", "-f", "x"]]) {
      assert.equal((await hostmesh(...args)).code, 2, args.join(" "));
    }
  });

  it("end with 1 where a file is no YAML, as for any refused resource", async () => {
    const cases: [string, RegExp][] = [
      [file("broken.yaml", "a: 1\nb: [1,\n"), /broken\.yaml:3:1: /],
      [file("twice.yaml", "a: 1\na: 2\n"), /twice\.yaml:2:1: .*unique/],
      [file("bomb.yaml", bomb()), /bomb\.yaml:1:1: .*alias/i],
    ];
    for (const [path, reason] of cases) {
      const { code, stderr } = await hostmesh("apply", "-f", path);
      assert.deepEqual([code, reason.test(stderr)], [1, true], stderr);
    }
  });

  it("end with 2 where a file cannot be read or a namespace is contradicted", async () => {
    const cases: [string[], RegExp][] = [
      [["-f", join(folder, "none.yaml")], /cannot read .*none\.yaml: ENOENT/],
      [["-f", file("empty.yaml", "---\n---\n")], /empty\.yaml: no resource/],
      [
        ["-f", file("other.yaml", BAD.replace("name: bad", "name: bad, namespace: x")), "-n", "y"],
        /other\.yaml:1: it is in namespace x, not y/,
      ],
      [[], /required option/],
    ];
    for (const [args, reason] of cases) {
      const { code, stderr } = await hostmesh("apply", ...args);
      assert.deepEqual([code, reason.test(stderr)], [2, true], stderr);
    }
  });

  it("keep control characters of a resource away from the terminal", async () => {
    const path = file(
      "evil.yaml",
      JSON.stringify({ apiVersion: "a/v1", kind: "A\u001b[2J", "x\u001b[2J": 1 }),
    );
    const { code, stdout, stderr } = await hostmesh("apply", "-f", path);
    assert.equal(code, 1);
    assert.ok(!(stdout + stderr).includes("\u001b"));
  });
});

/** Aliases of aliases: a few lines that would become billions of items. */
function bomb(): string {
  const levels = Array.from({ length: 9 }, (_, level) => {
    const inside = Array.from({ length: 9 }, () => (level === 0 ? "x" : `*a${level - 1}`));
    return `a${level}: &a${level} [${inside.join(", ")}]`;
  });
  return `${levels.join("\n")}\n`;
}
