import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { spiffe } from "../helpers/mesh-lab.ts";
import { until } from "../helpers/until.ts";
import {
  clientCert,
  type IdentityStage,
  identityStage,
  istio,
  PORTS,
  seenBy,
} from "./helpers/identity-stage.ts";
import type { MeshContainer } from "./helpers/mesh.ts";
import { skipReason } from "./helpers/privilege.ts";

const FRONT = "cluster.local/ns/default/sa/front";

describe("policies, and addresses that change their owner", { skip: skipReason("curl") }, () => {
  let stage: IdentityStage;
  before(async () => {
    stage = await identityStage();
  });
  afterEach(() => stage?.mesh.noPolicies());
  after(() => stage?.mesh.destroy());

  const urlOf = (to: MeshContainer, path = "/", port = PORTS.http) =>
    `http://${to.container.address4}:${port}${path}`;

  async function status(from: MeshContainer, to: MeshContainer, path = "/", method = "GET") {
    const answer = await from.http(urlOf(to, path), { method });
    // A refusal is the proxy's, whichever host it came from.
    if (answer.status === 403) assert.match(answer.text ?? "", /ACCESS_DENIED/);
    else seenBy(answer);
    return answer.status;
  }

  /** Does the echo of the server answer? A refusal of TCP is a closed connection. */
  async function echoes(from: MeshContainer, to: MeshContainer): Promise<boolean> {
    const place = [to.container.address4, PORTS.echo] as const;
    const { text } = await from.tcp(...place, { send: "\u0000word", expect: "word" });
    return text === "\u0000word";
  }

  test("by principal, path and method, within a host and across", async () => {
    const { mesh, front, attacker, back, near, far } = stage;
    const pairs = [front, attacker, back].flatMap((from) =>
      [near, far].map((to) => ({ from, to })),
    );
    for (const { from, to } of pairs) assert.equal(await status(from, to, "/shut", "POST"), 200);
    const operation = { methods: ["GET"], paths: ["/open*"] };
    const rules = [{ from: [{ source: { principals: [FRONT] } }], to: [{ operation }] }];
    await mesh.policies(istio("AuthorizationPolicy", "front-only", { rules }));
    for (const { from, to } of pairs) {
      const expected = from === front ? 200 : 403;
      const what = `${from.name} -> ${to.name}`;
      assert.equal(await status(from, to, "/open/x"), expected, what);
      assert.equal(await status(from, to, "/open/x", "POST"), 403, `${what}: method`);
      assert.equal(await status(from, to, "/shut"), 403, `${what}: path`);
    }
  });

  test("by namespace and by selector: one server denies what the other allows", async () => {
    const { mesh, front, attacker, back, near, far } = stage;
    const deny = (app: string, source: object) =>
      istio("AuthorizationPolicy", `deny-${app}`, {
        ...{ action: "DENY", selector: { matchLabels: { app } } },
        rules: [{ from: [{ source }] }],
      });
    await mesh.policies(
      deny("far", { namespaces: ["evil"] }),
      deny("near", { notNamespaces: ["evil"] }),
    );
    for (const from of [front, back, attacker]) {
      const isEvil = from === attacker;
      assert.equal(await status(from, far), isEvil ? 403 : 200, `${from.name} -> far`);
      assert.equal(await status(from, near), isEvil ? 200 : 403, `${from.name} -> near`);
    }
  });

  test("by the caller's address, which no header changes", async () => {
    const { mesh, front, attacker, back, near, far } = stage;
    const ipBlocks = [`${front.container.address4}/32`];
    const rules = [{ from: [{ source: { ipBlocks } }] }];
    await mesh.policies(istio("AuthorizationPolicy", "front-address", { rules }));
    const claim = front.container.address4;
    const headers = { "x-forwarded-for": claim, forwarded: `for="${claim}"`, "x-real-ip": claim };
    for (const to of [near, far]) {
      assert.equal(await status(front, to), 200, `front -> ${to.name}`);
      for (const from of [attacker, back]) {
        const answer = await from.http(urlOf(to), { headers });
        assert.equal(answer.status, 403, `${from.name} -> ${to.name}`);
      }
    }
  });

  test("a denied path stays denied in every spelling", async () => {
    const { mesh, front, near, far } = stage;
    const codeOf = (to: MeshContainer, path: string) =>
      front.curl("--path-as-is", "-o", "/dev/null", "-w", "%{http_code}", urlOf(to, path));
    const paths = [
      "/admin",
      "/./admin",
      "/x/../admin",
      "/x/%2e%2e/admin",
      "/%61dmin",

      "/admin?x=/open",
      "/admin/",
    ];
    for (const path of paths) assert.equal(await codeOf(far, path), "200", path);
    const rules = [{ to: [{ operation: { paths: ["/admin", "/admin/*"] } }] }];
    await mesh.policies(istio("AuthorizationPolicy", "no-admin", { action: "DENY", rules }));
    for (const to of [near, far]) {
      for (const path of paths) assert.equal(await codeOf(to, path), "403", `${to.name} ${path}`);
      assert.equal(await codeOf(to, "/open"), "200");
    }
  });

  test("TCP of others is closed, and live tunnels end when a policy comes that forbids them", async () => {
    const { mesh, front, attacker, back, near, far } = stage;
    const pairs = [front, attacker, back].flatMap((from) =>
      [near, far].map((to) => ({ from, to })),
    );
    const keyOf = (from: MeshContainer, to: MeshContainer) => `tunnel ${from.name} ${to.name}`;
    for (const { from, to } of pairs) {
      assert.ok(await echoes(from, to));
      await from.hold(keyOf(from, to), to.container.address4, PORTS.echo);
      assert.equal((await from.echo(keyOf(from, to), "before")).text, "before");
    }
    const rules = [{ from: [{ source: { principals: [FRONT] } }] }];
    await mesh.policies(istio("AuthorizationPolicy", "front-only", { rules }));
    for (const { from, to } of pairs) {
      const isFront = from === front;
      const what = `${from.name} -> ${to.name}`;
      assert.equal(await echoes(from, to), isFront, what);
      const { text, error } = await from.echo(keyOf(from, to), "after");
      assert.equal(isFront ? text : error, isFront ? "after" : "CLOSED", what);
    }
  });

  test("a stream of HTTP that a policy forbids is cut off, a held connection gets 403", async () => {
    const { mesh, attacker, front, near, far } = stage;
    // Requests over one connection that stays open, written by hand.
    const ask = (to: MeshContainer) =>
      `GET / HTTP/1.1\r\nhost: ${to.container.address4}:${PORTS.http}\r\n\r\n`;
    const first = /200 OK[\s\S]*\r\n\r\n/;
    for (const from of [attacker, front]) {
      for (const to of [near, far]) {
        await from.hold(`keep ${to.name}`, to.container.address4, PORTS.http);
        assert.match((await from.echo(`keep ${to.name}`, ask(to))).text ?? "", first);
      }
    }
    const rules = [{ from: [{ source: { namespaces: ["evil"] } }] }];
    await mesh.policies(istio("AuthorizationPolicy", "not-evil", { action: "DENY", rules }));
    for (const to of [near, far]) {
      const { text = "", error } = await attacker.echo(`keep ${to.name}`, ask(to));
      assert.ok(error === "CLOSED" || /403 Forbidden/.test(text), `${to.name}: ${error} ${text}`);
      assert.doesNotMatch(text, /200 OK/);
      assert.match((await front.echo(`keep ${to.name}`, ask(to))).text ?? "", /200 OK/);
    }
  });

  /** Workload `name`, with the addresses of the container. */
  const owner = ({ account }: MeshContainer, name: string) => ({
    ...account,
    ...{ name, serviceAccount: name, labels: { app: name } },
  });

  /** Waits until daemons go by the newest owners of addresses, have certificates for them, and capture them. */
  const agreed = async () => {
    const { mesh, a, b, front, near } = stage;
    await mesh.settled();
    await Promise.all([a.untilCertified(), b.untilCertified(), a.untilCaptured(front, near)]);
  };

  test("an address of a server that changes its owner changes identity at once", async () => {
    const { mesh, front, back, near } = stage;
    const by = async (from: MeshContainer) => clientCert(seenBy(await from.http(urlOf(near)))).by;
    for (const from of [front, back]) {
      assert.equal(await by(from), spiffe("near"));
      await from.hold("server", near.container.address4, PORTS.echo);
      assert.equal((await from.echo("server", "near")).text, "near");
    }
    await mesh.apply({
      workloads: [{ ...near.account, addresses: ["10.1.0.77"] }, owner(near, "heir")],
    });
    await agreed();
    for (const from of [front, back]) {
      assert.equal(await by(from), spiffe("heir"), from.name);
      const closed = async () => (await from.echo("server", "heir")).error === "CLOSED";
      await until(closed, { timeoutMs: 2_000, what: `the end of ${from.name}'s tunnel` });
    }
    await mesh.call("DELETE", "/v1/mesh/workloads/default/heir");
    await mesh.apply({ workloads: [near.account] });
    await agreed();
    for (const from of [front, back]) assert.equal(await by(from), spiffe("near"));
  });

  test("so does a caller's, and its pooled connections serve nobody else", async () => {
    const { mesh, b, front, near, far } = stage;
    const uri = async (to: MeshContainer) => clientCert(seenBy(await front.http(urlOf(to)))).uri;
    const rules = [{ from: [{ source: { principals: [FRONT] } }] }];
    for (const to of [near, far]) {
      assert.equal(await uri(to), spiffe("front"));
      await front.hold(`caller ${to.name}`, to.container.address4, PORTS.echo);
      assert.equal((await front.echo(`caller ${to.name}`, "front")).text, "front");
    }
    // The tunnels are the old caller's, and are counted when they end.
    const ofFront = { source: "default/front", protocol: "http" };
    const before = await b.metric("hostmesh_requests_total", ofFront);
    await mesh.apply({
      workloads: [{ ...front.account, addresses: ["10.1.0.78"] }, owner(front, "heir")],
    });
    await agreed();
    for (const to of [near, far]) {
      for (let at = 0; at < 4; at++) assert.equal(await uri(to), spiffe("heir"), to.name);
      const closed = async () => (await front.echo(`caller ${to.name}`, "heir")).error === "CLOSED";
      await until(closed, { timeoutMs: 2_000, what: `the end of the tunnel to ${to.name}` });
    }
    assert.equal(await b.metric("hostmesh_requests_total", ofFront), before);
    await mesh.policies(istio("AuthorizationPolicy", "front-only", { rules }));
    for (const to of [near, far]) assert.equal(await status(front, to), 403);
    await mesh.call("DELETE", "/v1/mesh/workloads/default/heir");
    await mesh.apply({ workloads: [front.account] });
    await agreed();
    for (const to of [near, far]) {
      // Between the two changes the address was nobody's, and so it was not captured.
      const isBack = async () => (await status(front, to)) === 200;
      await until(isBack, { what: `an answer of ${to.name}` });
      assert.equal(await uri(to), spiffe("front"), to.name);
    }
  });
});
