import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { RunningRegistry } from "../../src/registry/registry.ts";
import { startTestRegistry } from "../helpers/registry.ts";
import { type CliResult, runCli, runCliHere } from "./run.ts";

const folder = mkdtempSync(join(tmpdir(), "hostmesh-cli-registry-"));
let registry: RunningRegistry;

before(async () => {
  registry = await startTestRegistry({ dataDir: folder });
});
after(async () => {
  await registry.close();
  rmSync(folder, { recursive: true, force: true });
});

async function hostmesh(...args: string[]): Promise<CliResult> {
  return runCliHere([...args, "--registry", registry.url]);
}

async function endpoints(service: string): Promise<Record<string, unknown>[]> {
  return JSON.parse((await hostmesh("service", "list", service, "-o", "json")).stdout);
}

describe("service and workload commands against a registry", () => {
  it("registers a service with everything that the options say, and lists it", async () => {
    const registered = await hostmesh(
      ..."service register catalog --id catalog-1 --address 10.0.0.7 --port 8080 --host node-2".split(
        " ",
      ),
      ..."--tag a b --meta team=shop --protocol http --balancer least-request --weight 7".split(
        " ",
      ),
      ..."--check-http http://10.0.0.7:8080/health --interval 5s".split(" "),
    );
    assert.deepEqual([registered.code, registered.stderr], [0, ""]);
    const [endpoint] = await endpoints("catalog");
    assert.ok(endpoint);
    const { id, address, port, weight, host, protocol, tags, health } = endpoint;
    assert.deepEqual(
      { id, address, port, weight, host, protocol, tags, health },
      {
        id: "node-2/catalog-1",
        address: "10.0.0.7",
        port: 8080,
        weight: 7,
        host: "node-2",
        protocol: "http",
        tags: ["a", "b"],
        health: "critical",
      },
    );
    const { stdout } = await hostmesh("service", "list");
    assert.match(stdout, /^SERVICE +NAMESPACE +HEALTHY +PROTOCOL +BALANCER +ADDRESSES$/m);
    assert.match(stdout, /^catalog +default +0\/1 +http +least-request +240\.240\./m);
  });

  it("uses the registry's own host where none is named", async () => {
    await hostmesh("service", "register", "plain", "--port", "9000");
    const [endpoint] = await endpoints("plain");
    assert.equal(endpoint?.["id"], "here/plain");
    assert.equal(endpoint?.["address"], "127.0.0.1");
    assert.equal(endpoint?.["health"], "passing");
  });

  it("keeps services of another namespace apart", async () => {
    await hostmesh(
      "service",
      "register",
      "plain",
      "--id",
      "p2",
      "--port",
      "1",
      "--namespace",
      "shop",
    );
    assert.equal((await endpoints("plain.shop")).length, 1);
    const { stdout } = await hostmesh("completion", "services");
    assert.deepEqual(stdout.trim().split("\n").sort(), ["catalog", "plain", "plain.shop"]);
  });

  it("deregisters one endpoint by its id, and says when there is none", async () => {
    const done = await hostmesh("service", "deregister", "p2");
    assert.equal(done.code, 0, done.stderr);
    const missing = await hostmesh("service", "deregister", "p2");
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /^error: no endpoint has the id p2\nhint: /);
    const gone = await hostmesh("service", "list", "plain.shop");
    assert.equal(gone.code, 1);
  });

  it("asks for the host where an id is on several", async () => {
    for (const host of ["node-1", "node-2"]) {
      await hostmesh(
        "service",
        "register",
        "twin",
        "--port",
        "80",
        "--address",
        "10.0.0.1",
        "--host",
        host,
      );
    }
    const unclear = await hostmesh("service", "deregister", "twin");
    assert.equal(unclear.code, 1);
    assert.match(unclear.stderr, /node-1, node-2/);
    const clear = await hostmesh("service", "deregister", "twin", "--host", "node-1");
    assert.equal(clear.code, 0);
    assert.deepEqual(
      (await endpoints("twin")).map(({ host }) => host),
      ["node-2"],
    );
  });

  it("passes the registry's words on when it refuses something", async () => {
    const { code, stderr } = await hostmesh("service", "register", "bad name", "--port", "80");
    assert.equal(code, 1);
    assert.match(stderr, /^error: the registry refused .*400.*Name/);
    assert.ok(!stderr.includes("    at "), "no stack");
  });

  it("registers what a file holds, in Consul's forms and in its own", async () => {
    const file = join(folder, "services.yaml");
    writeFileSync(
      file,
      [
        "service: { name: one, port: 1 }",
        "---",
        "services: [{ name: two, port: 2 }, { name: three, port: 3 }]",
        "---",
        "Name: four",
        "Port: 4",
        "---",
        "services: [{ name: five, balancer: { policy: random } }]",
        "endpoints: [{ id: five-1, service: five, address: 10.0.0.5, port: 5 }]",
        "workloads: [{ name: web, addresses: [10.0.0.9] }]",
      ].join("\n"),
    );
    const { code, stderr } = await hostmesh("service", "register", "-f", file);
    assert.deepEqual([code, stderr], [0, ""]);
    const { stdout } = await hostmesh("service", "list", "-o", "json");
    const names = JSON.parse(stdout).map(({ name }: { name: string }) => name);
    for (const name of ["one", "two", "three", "four", "five"])
      assert.ok(names.includes(name), name);
    assert.match(
      (await hostmesh("workload", "list")).stdout,
      /^web +default +here +default +10\.0\.0\.9$/m,
    );
  });

  it("says what is wrong with a file, and registers standard input", async () => {
    const file = join(folder, "broken.yaml");
    writeFileSync(file, "service: {");
    const broken = await hostmesh("service", "register", "-f", file);
    assert.equal(broken.code, 2);
    assert.match(broken.stderr, /broken\.yaml/);
    const missing = await hostmesh("service", "register", "-f", join(folder, "none.yaml"));
    assert.equal(missing.code, 2);
    assert.match(missing.stderr, /cannot read .*none\.yaml: ENOENT/);
    const input = '{"Name":"piped","Port":80}';
    const args = ["service", "register", "-f", "-", "--registry", registry.url];
    const piped = await runCli(args, { input });
    assert.deepEqual([piped.code, piped.stderr], [0, ""]);
    assert.equal((await endpoints("piped")).length, 1);
  });

  it("registers, lists and deregisters workloads", async () => {
    const done = await hostmesh(
      ..."workload register api --address 10.0.1.1 fd00::1 --host node-3 --service-account robot".split(
        " ",
      ),
    );
    assert.deepEqual([done.code, done.stderr], [0, ""]);
    const { stdout } = await hostmesh("workload", "list", "--host", "node-3", "-o", "json");
    assert.deepEqual(JSON.parse(stdout), [
      {
        name: "api",
        namespace: "default",
        serviceAccount: "robot",
        host: "node-3",
        addresses: ["10.0.1.1", "fd00::1"],
      },
    ]);
    const elsewhere = await hostmesh("workload", "deregister", "api", "--host", "node-4");
    assert.equal(elsewhere.code, 1);
    assert.match(elsewhere.stderr, /default\/api runs on node-3, not on node-4\nhint: /);
    const here = await hostmesh("workload", "deregister", "api", "--host", "node-3");
    assert.deepEqual([here.code, here.stderr], [0, ""]);
    const again = await hostmesh("workload", "deregister", "api");
    assert.equal(again.code, 1);
    assert.match(again.stderr, /no workload default\/api/);
  });

  it("tries the next registry when one cannot be reached", async () => {
    const urls = `http://127.0.0.1:1,${registry.url}`;
    const { code, stdout } = await runCliHere(["service", "list", "--registry", urls]);
    assert.equal(code, 0);
    assert.match(stdout, /^catalog /m);
  });
});

describe("tables", () => {
  it("are never wider than the terminal", async () => {
    for (const width of [40, 60, 100]) {
      const { stdout } = await runCliHere(["service", "list", "--registry", registry.url], width);
      const lines = stdout.trimEnd().split("\n");
      assert.ok(lines.length > 3);
      for (const line of lines) assert.ok([...line].length <= width, `${width}: ${line}`);
    }
  });
});
