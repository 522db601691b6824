import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import {
  EtcdClient,
  EtcdRefusal,
  EtcdUnreachable,
} from "../../../src/registry/etcd/etcd-client.ts";
import { headerAnswer, manyKeys, oneKey, put } from "../../../src/registry/etcd/etcd-messages.ts";
import { readCredentials } from "../../../src/registry/etcd/etcd-options.ts";
import { etcdCluster, noEtcd } from "../../helpers/etcd.ts";
import { until } from "../../helpers/until.ts";
import { tempFolder } from "../setup.ts";
import { clientOf, sharedEtcd } from "./etcd-lab.ts";

const OPTIONS = {
  ...{ endpoints: [], prefix: "/", caFile: "", certFile: "", keyFile: "" },
  ...{ username: "", passwordFile: "", leaseMs: 10_000, compactMs: 0 },
};

/** A server that answers each call with these bytes, and then nothing more. */
async function speaks(t: TestContext, answer: (path: string) => string | null): Promise<string> {
  const server = createServer((request, response) => {
    const text = answer(request.url ?? "");
    if (text === null) response.destroy();
    else response.end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe("a client of etcd", { skip: noEtcd }, () => {
  const etcd = sharedEtcd();

  test("goes to the next member where one does not answer, or answers with nonsense", async (t) => {
    const [good = ""] = etcd().urls;
    const bad = [
      "http://127.0.0.1:9",
      await speaks(t, () => null),
      await speaks(t, () => "{"),
      await speaks(t, () => '{"header":{"revision":"soon"}}'),
      await speaks(t, () => "[]"),
    ];
    const client = clientOf(t, [...bad, good]);
    const { header } = await client.range(oneKey("a"));
    assert.ok(header.revision > 0);
  });

  test("a member that hangs is left after a while, others are not asked again", async (t) => {
    const [good = ""] = etcd().urls;
    const server = createServer(() => {});
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    const silent = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const client = clientOf(t, [silent, good]);
    await client.range(oneKey("a"));
    const begun = performance.now();
    for (let index = 0; index < 5; index++) await client.range(oneKey("a"));
    assert.ok(performance.now() - begun < 1_500, "it stays with the one that answers");
  });

  test("what etcd refuses is certain at once; what nobody answers is not", async (t) => {
    const client = clientOf(t, etcd().urls);
    const twice = [put("a", "1"), put("a", "2")];
    await assert.rejects(
      client.txn({ compare: [], success: twice, failure: [] }),
      (error) => error instanceof EtcdRefusal && error.code === 3,
    );
    const nobody = clientOf(t, ["http://127.0.0.1:9"], 200);
    await assert.rejects(nobody.range(oneKey("a")), EtcdUnreachable);
  });

  test("a watch brings what changes, and ends with its signal", async (t) => {
    const client = clientOf(t, etcd().urls);
    const { header } = await client.range(oneKey("w/"));
    const seen: string[] = [];
    const end = new AbortController();
    const watching = client.watch(
      manyKeys("w/"),
      header.revision + 1,
      (events) => seen.push(...events.map(({ type, kv }) => `${type} ${kv.key} ${kv.value}`)),
      end.signal,
    );
    const value = "ä".repeat(200_000);
    for (const text of ["1", value]) {
      await client.call("/v3/kv/put", put("w/a", text)["request_put"], headerAnswer);
    }
    await until(() => seen.length === 2);
    assert.deepEqual(seen, ["PUT w/a 1", `PUT w/a ${value}`]);
    end.abort();
    await watching;
  });

  test("a watch that is garbled, ends early or asks for what is compacted rejects", async (t) => {
    const signal = new AbortController().signal;
    const client = clientOf(t, etcd().urls);
    const { header } = await client.call("/v3/kv/put", put("c", "1")["request_put"], headerAnswer);
    const revision = String(header.revision);
    await client.call("/v3/kv/compaction", { revision }, headerAnswer);
    await assert.rejects(
      client.watch(oneKey("c"), 1, () => {}, signal),
      /forgotten/,
    );
    for (const text of ["nonsense\n", '{"result":{}}\n', '{"error":{"message":"no leader"}}\n']) {
      const url = await speaks(t, () => text);
      await assert.rejects(clientOf(t, [url]).watch(oneKey("c"), 1, () => {}, signal));
    }
  });
});

test("settings of etcd that belong together, and files that are missing, are named", async (t) => {
  await assert.rejects(
    readCredentials({ ...OPTIONS, certFile: "/nowhere" }),
    /etcdCertFile and registry.etcdKeyFile belong together/,
  );
  await assert.rejects(readCredentials({ ...OPTIONS, username: "a" }), /etcdPasswordFile/);
  await assert.rejects(readCredentials({ ...OPTIONS, caFile: "/nowhere" }), /etcdCaFile: .*ENOENT/);
  const file = join(await tempFolder(t), "password");
  await writeFile(file, "secret\n");
  const { login } = await readCredentials({ ...OPTIONS, username: "a", passwordFile: file });
  assert.deepEqual(login, { name: "a", password: "secret" });
});

describe("a protected etcd", { skip: noEtcd }, () => {
  test("is reached with a certificate and a password, and not without", async (t) => {
    const folder = await tempFolder(t);
    const file = (name: string) => join(folder, name);
    const openssl = (...args: string[]) =>
      execFileSync("openssl", args, { cwd: folder, stdio: "ignore" });
    const leaf = (name: string, subject: string) => {
      openssl(
        "req",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        `${name}.key`,
        "-subj",
        subject,
        "-out",
        `${name}.csr`,
      );
      openssl(
        "x509",
        "-req",
        "-in",
        `${name}.csr`,
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-days",
        "2",
        "-extfile",
        "names",
        "-out",
        `${name}.pem`,
      );
    };
    await writeFile(
      file("names"),
      "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n",
    );
    openssl(
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-keyout",
      "ca.key",
      "-subj",
      "/CN=ca",
      "-days",
      "2",
      "-out",
      "ca.pem",
    );
    leaf("server", "/O=hostmesh");
    leaf("registry", "/O=hostmesh");
    leaf("named", "/CN=hostmesh");
    const { urls } = await etcdCluster(t, 1, {
      scheme: "https",
      flags: [
        ...["--cert-file", file("server.pem"), "--key-file", file("server.key")],
        ...["--trusted-ca-file", file("ca.pem"), "--client-cert-auth", "--unsafe-no-fsync"],
      ],
    });
    await writeFile(file("password"), "right\n");
    const tls = {
      caFile: file("ca.pem"),
      certFile: file("registry.pem"),
      keyFile: file("registry.key"),
    };
    const open = async (options: Partial<typeof OPTIONS>) => {
      const credentials = await readCredentials({ ...OPTIONS, ...options });
      const client = new EtcdClient({ endpoints: urls, credentials, callMs: 1_000 });
      t.after(() => client.close());
      return client;
    };
    const admin = await open(tls);
    const call = (path: string, body: unknown) => admin.call(path, body, headerAnswer);
    await call("/v3/auth/user/add", { name: "root", password: "root" });
    await call("/v3/auth/role/add", { name: "root" });
    await call("/v3/auth/user/grant", { user: "root", role: "root" });
    await call("/v3/auth/user/add", { name: "hostmesh", password: "right" });
    await call("/v3/auth/role/add", { name: "hostmesh" });
    const perm = { permType: "READWRITE", key: btoa("/hostmesh/"), range_end: btoa("/hostmesh0") };
    await call("/v3/auth/role/grant", { name: "hostmesh", perm });
    await call("/v3/auth/user/grant", { user: "hostmesh", role: "hostmesh" });
    await call("/v3/auth/enable", {});

    const login = { username: "hostmesh", passwordFile: file("password") };
    const client = await open({ ...tls, ...login });
    assert.deepEqual((await client.range(oneKey("/hostmesh/a"))).kvs, []);
    await assert.rejects(client.range(oneKey("/other")), EtcdRefusal);
    const named = { ...tls, certFile: file("named.pem"), keyFile: file("named.key") };
    await assert.rejects((await open({ ...named, ...login })).range(oneKey("/a")), /CommonName/);
    await assert.rejects((await open(tls)).range(oneKey("/hostmesh/a")), EtcdRefusal);
    await assert.rejects((await open({ caFile: tls.caFile, ...login })).range(oneKey("/a")));
    await assert.rejects((await open({ ...tls, caFile: "", ...login })).range(oneKey("/a")));
    await writeFile(file("password"), "wrong\n");
    await assert.rejects((await open({ ...tls, ...login })).range(oneKey("/a")), EtcdRefusal);

    // Tokens do not outlive a change of users: the client logs in again by itself.
    await writeFile(file("root"), "root");
    const again = await open({ ...tls, username: "root", passwordFile: file("root") });
    await again.call("/v3/auth/user/add", { name: "third", password: "x" }, headerAnswer);
    assert.deepEqual((await client.range(oneKey("/hostmesh/a"))).kvs, []);
  });
});
