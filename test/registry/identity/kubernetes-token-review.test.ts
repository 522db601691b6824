import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import {
  createAuthority,
  generateKeys,
  issueLeaf,
  privateKeyPem,
} from "../../../src/identity/x509.ts";
import { KubernetesTokenReview } from "../../../src/registry/identity/kubernetes-token-review.ts";
import { dig, tempFolder } from "../setup.ts";

const NODE = "authentication.kubernetes.io/node-name";

interface Seen {
  readonly url: string | undefined;
  readonly authorization: string | undefined;
  readonly body: unknown;
}

/** An API server with a certificate of an authority of its own. */
async function apiServer(t: TestContext, answer: { status: number; body: string }) {
  const folder = await tempFolder(t);
  const nowMs = Date.now();
  const day = { notBefore: new Date(nowMs - 1_000), notAfter: new Date(nowMs + 86_400_000) };
  const authority = createAuthority({ commonName: "kubernetes", ...day });
  const { privateKey, publicKey } = generateKeys();
  const names = { dnsNames: ["localhost"], ips: ["127.0.0.1"] };
  const cert = issueLeaf(authority, { publicKey, names, ...day });
  const seen: Seen[] = [];
  const server = createServer({ cert, key: privateKeyPem(privateKey) }, (request, response) => {
    let text = "";
    request.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    request.once("end", () => {
      const { url, headers } = request;
      seen.push({ url, authorization: headers.authorization, body: JSON.parse(text) });
      response.writeHead(answer.status, { "content-type": "application/json" }).end(answer.body);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const [caFile, tokenFile] = [join(folder, "ca.crt"), join(folder, "token")];
  await writeFile(caFile, authority.certificate);
  await writeFile(tokenFile, "own-token\n");
  const apiUrl = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { seen, caFile, tokenFile, apiUrl };
}

function answerOf(status: unknown) {
  return { status: 201, body: JSON.stringify({ kind: "TokenReview", status }) };
}

const good = {
  authenticated: true,
  audiences: ["hostmesh"],
  user: {
    username: "system:serviceaccount:hostmesh-system:daemon",
    extra: { [NODE]: ["node-1"] },
  },
};

test("the API server is asked with the registry's own token, and its answer is read", async (t) => {
  const { seen, ...options } = await apiServer(t, answerOf(good));
  const found = await new KubernetesTokenReview(options).review("a.b.c", "hostmesh");
  assert.deepEqual(found, {
    namespace: "hostmesh-system",
    serviceAccount: "daemon",
    node: "node-1",
  });
  assert.equal(seen[0]?.url, "/apis/authentication.k8s.io/v1/tokenreviews");
  assert.equal(seen[0]?.authorization, "Bearer own-token");
  assert.deepEqual(dig(seen[0]?.body, "spec"), { token: "a.b.c", audiences: ["hostmesh"] });
});

test("what is not surely a daemon's token of one node is refused", async (t) => {
  const { user } = good;
  const cases: [unknown, RegExp][] = [
    [{ authenticated: false, error: "expired" }, /^expired$/],
    [{}, /not authenticated/],
    [{ ...good, audiences: [] }, /not for hostmesh/],
    [{ ...good, audiences: ["other"] }, /not for hostmesh/],
    [{ ...good, user: { ...user, username: "admin" } }, /no service account's/],
    [{ ...good, user: { ...user, extra: {} } }, /bound to no node/],
    [{ ...good, user: { ...user, extra: { [NODE]: ["a", "b"] } } }, /bound to no node/],
  ];
  for (const [status, reason] of cases) {
    const { seen: _, ...options } = await apiServer(t, answerOf(status));
    const found = await new KubernetesTokenReview(options).review("a.b.c", "hostmesh");
    assert.match("refusal" in found ? found.refusal : "none", reason);
  }
});

test("an API server that is another, forbids, or makes no sense is no judge", async (t) => {
  const { seen: _, ...options } = await apiServer(t, answerOf(good));
  const { caFile } = await apiServer(t, answerOf(good));
  const stranger = new KubernetesTokenReview({ ...options, caFile });
  await assert.rejects(stranger.review("a.b.c", "hostmesh"));
  for (const answer of [
    { status: 403, body: "{}" },
    { status: 201, body: "[]" },
    { status: 201, body: "no JSON" },
  ]) {
    const { seen: ignored, ...bad } = await apiServer(t, answer);
    await assert.rejects(new KubernetesTokenReview(bad).review("a.b.c", "hostmesh"));
    assert.equal(ignored.length, 1);
  }
});
