import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import {
  type Authority,
  createAuthority,
  generateKeys,
  issueLeaf,
  privateKeyPem,
} from "../../../src/identity/x509.ts";
import type { TapItem } from "../../../src/sight/tap-event.ts";
import { MemoryPlace } from "../../helpers/memory-private-store.ts";
import { until } from "../../helpers/until.ts";
import { flowReport } from "../../sight/reports.ts";
import { callTls, secureRegistry, spiffe } from "../identity/setup.ts";
import { call, dig, tempFolder } from "../setup.ts";
import { reporting, tapItem } from "./answering-daemon.ts";
import { allSee, LOOPBACK, secureDaemon } from "./fellows.ts";

function newAuthority(): Authority {
  const [notBefore, notAfter] = [new Date(Date.now() - 60_000), new Date(Date.now() + 86_400_000)];
  return createAuthority({ commonName: "a root", notBefore, notAfter });
}

/** What a registry of this authority would show. */
function registryCredential(authority: Authority) {
  const { privateKey, publicKey } = generateKeys();
  const names = { uris: [spiffe("hostmesh-system", "registry")] };
  const [notBefore, notAfter] = [new Date(Date.now() - 30_000), new Date(Date.now() + 3_600_000)];
  const cert = issueLeaf(authority, { publicKey, names, notBefore, notAfter });
  return { cert, key: privateKeyPem(privateKey) };
}

/** Two registries that share an authority; each has a daemon. */
async function pair(t: TestContext) {
  const place = new MemoryPlace();
  const [one, two] = await Promise.all([
    secureRegistry(t, { store: place.open(), ...LOOPBACK }),
    secureRegistry(t, { store: place.open(), ...LOOPBACK }),
  ]);
  const flow = flowReport({ requests: 3, recent: 3 });
  const a = await secureDaemon(t, one, "a", {
    ...reporting("a", { flows: [flow] }),
    config: () => "config of a",
  });
  const b = await secureDaemon(t, two, "b", {
    ...reporting("b", { flows: [flow] }),
    config: () => "config of b",
  });
  await allSee([one, two], ["a", "b"]);
  return { place, one, two, a, b };
}

test("each registry sees the daemons of all", async (t) => {
  const { one, two } = await pair(t);
  for (const registry of [one, two]) {
    const { body } = await call(registry, "GET", "/v1/mesh/sight/report");
    assert.equal(dig(body, "edges.0.requests"), 6);
    for (const host of ["a", "b"]) {
      const config = await call(registry, "GET", `/v1/mesh/sight/hosts/${host}/config`);
      assert.deepEqual([config.status, config.body], [200, `config of ${host}`]);
      const report = await call(registry, "GET", `/v1/mesh/sight/hosts/${host}/report`);
      assert.equal(dig(report.body, "host"), host);
    }
  }
});

test("a tap at one registry shows the events of another's daemons, and ends there too", async (t) => {
  const { one, a, b } = await pair(t);
  const items: TapItem[] = [];
  const limits = { perSecond: 10, durationMs: 60_000 };
  const onItem = (item: TapItem) => void items.push(item);
  const onEnd = (reason: string | null) => assert.fail(`it ended: ${reason}`);
  const end = one.sight.tap({}, limits, null, onItem, onEnd);
  const asks = () =>
    [a, b].flatMap(({ asked }) => asked.filter((one) => dig(one, "question.kind") === "tap"));
  await until(() => asks().length === 2);
  const idOf = ({ asked }: typeof a) =>
    dig(
      asked.find((one) => dig(one, "question.kind") === "tap"),
      "id",
    );
  a.send(idOf(a), [tapItem("a", "/1")], { more: true });
  b.send(idOf(b), [tapItem("b", "/2")], { more: true });
  await until(() => items.length === 2);
  end();
  const ended = () =>
    [a, b].every(({ asked }) => asked.some((one) => dig(one, "type") === "ask-end"));
  await until(ended, { what: "the end at both daemons" });
});

test("a registry that is gone leaves its hosts silent, and a tap of them ends with a reason", async (t) => {
  const { one, two, b } = await pair(t);
  const reasons: (string | null)[] = [];
  const limits = { perSecond: 10, durationMs: 60_000 };
  one.sight.tap(
    {},
    limits,
    ["b"],
    () => undefined,
    (reason) => reasons.push(reason),
  );
  await until(() => b.asked.some((ask) => dig(ask, "question.kind") === "tap"));
  await two.close();
  await until(() => reasons.length === 1);
  assert.equal(typeof reasons[0], "string");
  await until(async () => {
    const { hosts } = await one.sight.report();
    return hosts.some(({ host, state }) => host === "a" && state === "reporting");
  });
});

test("only registries may ask a registry for its own daemons, and nothing else", async (t) => {
  const authority = newAuthority();
  const folder = await tempFolder(t);
  const [caFile, caKeyFile] = [join(folder, "ca.pem"), join(folder, "ca.key")];
  await writeFile(caFile, authority.certificate);
  await writeFile(caKeyFile, privateKeyPem(authority.privateKey));
  const one = await secureRegistry(t, { caFile, caKeyFile });
  const a = await secureDaemon(t, one, "a", reporting("a"));
  const path = "/v1/mesh/sight/local/reports";
  assert.equal((await callTls(one.tlsUrl, "GET", path)).status, 401);
  assert.equal((await callTls(one.tlsUrl, "GET", path, undefined, a.credential)).status, 403);
  const credential = registryCredential(authority);
  for (const [method, other] of [
    ["GET", "/v1/mesh/sight/report"],
    ["GET", "/v1/mesh/status"],
    ["GET", "/v1/mesh/services"],
    ["DELETE", "/v1/mesh/services/shop/api"],
    ["POST", "/v1/identity/tokens"],
    ["POST", "/v1/identity/certificates"],
  ] as const) {
    const answer = await callTls(one.tlsUrl, method, other, undefined, credential);
    assert.equal(answer.status, 403, other);
  }
  const own = await callTls(one.tlsUrl, "GET", path, undefined, credential);
  assert.deepEqual([own.status, dig(own.body, "host")], [200, "a"]);
});

test("who shows no certificate of the mesh's authority is not taken for a registry", async (t) => {
  const { place, one } = await pair(t);
  const calls: string[] = [];
  const impostor = createServer(registryCredential(newAuthority()), (request, response) => {
    calls.push(request.url ?? "");
    response.end();
  });
  impostor.listen(0, "127.0.0.1");
  t.after(() => impostor.close());
  await until(() => impostor.listening);
  const { port } = impostor.address() as AddressInfo;
  const hosts = { c: { connected: true, trusts: true, renewed: null } };
  const notice = { format: "hostmesh-replica/1", beat: 1, trust: "", hosts };
  const content = JSON.stringify({ ...notice, url: `https://127.0.0.1:${port}` });
  await place.open().write("replica-impostor.json", content, null);
  await until(async () => {
    const { hosts: all } = await one.sight.report();
    return all.some(({ host, state }) => host === "c" && state === "silent");
  });
  assert.deepEqual(calls, []);
  const config = await call(one, "GET", "/v1/mesh/sight/hosts/c/config");
  assert.equal(config.status, 503);
});
