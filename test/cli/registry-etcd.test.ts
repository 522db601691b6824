import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, test } from "node:test";
import { noEtcd } from "../helpers/etcd.ts";
import { until } from "../helpers/until.ts";
import { newPrefix, sharedEtcd } from "../registry/etcd/etcd-lab.ts";
import { call, dig, tempFolder } from "../registry/setup.ts";
import { MAIN, runCli } from "./run.ts";

describe("hostmesh registry --store etcd", { skip: noEtcd }, () => {
  const etcd = sharedEtcd();

  test("keeps what it is told where another registry finds it", async (t) => {
    const prefix = newPrefix();
    const start = async () => {
      const settings = {
        ...{ "registry.port": "0", "identity.mode": "off", "registry.etcdPrefix": prefix },
        "registry.etcdEndpoints": etcd().urls.join(","),
      };
      const set = Object.entries(settings).flatMap(([name, value]) => [
        "--set",
        `${name}=${value}`,
      ]);
      const args = ["registry", "--store", "etcd", "--data", await tempFolder(t), ...set];
      const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
      t.after(() => child.kill("SIGKILL"));
      let output = "";
      const keep = (text: string) => {
        output += text;
      };
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding("utf8").on("data", keep);
      const address = () => /the registry listens\b.*?(127\.0\.0\.1:\d+)/.exec(output)?.[1];
      await until(() => address() !== undefined || child.exitCode !== null, { what: "a registry" });
      assert.equal(child.exitCode, null, output);
      return { child, url: `http://${address()}` };
    };
    const first = await start();
    const put = await call(first, "PUT", "/v1/mesh/services/default/web", {
      ports: [{ port: 80 }],
    });
    assert.equal(put.status, 200);
    first.child.kill("SIGTERM");
    assert.deepEqual(await once(first.child, "exit"), [0, null]);
    const second = await start();
    const { body } = await call(second, "GET", "/v1/mesh/status");
    assert.deepEqual(
      [dig(body, "services"), dig(body, "store.kind"), dig(body, "store.reachable")],
      [1, "etcd", true],
    );
  });

  test("refuses settings that cannot work, and names them", async () => {
    const refused = async (...settings: string[]) => {
      const set = settings.flatMap((each) => ["--set", each]);
      const { code, stderr } = await runCli(["registry", "--store", "etcd", ...set]);
      return `${code} ${stderr}`;
    };
    assert.match(await refused("registry.etcdPrefix=no-slash"), /^2 [^]*registry\.etcdPrefix/);
    assert.match(await refused("registry.etcdEndpoints=ftp://a"), /^2 [^]*registry\.etcdEndpoints/);
    assert.match(await refused("registry.etcdCertFile=/nowhere"), /^1 [^]*belong together/);
  });
});
