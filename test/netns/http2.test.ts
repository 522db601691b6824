import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Mesh, type MeshContainer, type MeshHost } from "./helpers/mesh.ts";
import { skipReason } from "./helpers/privilege.ts";
import { Script } from "./helpers/program.ts";

/** Two hosts that speak mutual TLS; on each an application of HTTP/1.1 (`app.ts`) and one of HTTP/2 (`h2-app.ts`). */
interface Stage {
  readonly mesh: Mesh;
  readonly a: MeshHost;
  readonly b: MeshHost;
  readonly front: MeshContainer;
  readonly far: MeshContainer;
  readonly client: Script;
  readonly servers: Readonly<Record<"near" | "far", Script>>;
}

async function makeStage(mode: "tproxy" | "redirect"): Promise<Stage> {
  const mesh = await Mesh.create();
  const veth = mode === "tproxy" ? "unnumbered" : "numbered";
  try {
    const a = await mesh.host("a", { veth });
    const b = await mesh.host("b", { veth });
    const front = await a.container("front", { address4: "10.1.0.2" });
    const near = await a.container("near", { address4: "10.1.0.3" });
    const far = await b.container("far", { address4: "10.2.0.2" });
    const start = (name: string, at: MeshContainer) =>
      Script.start(at.container.namespace, name, [at.name]);
    const [nearH2, farH2, client] = await Promise.all([
      ...[start("h2-app", near), start("h2-app", far), start("h2-client", front)],
      ...[near.app(), far.app(), mesh.startRegistry(a)],
    ]);
    await register(mesh, a, b, [front, near, far]);
    await Promise.all([a, b].map((host) => host.startDaemon({ capture: mode, enrol: true })));
    await Promise.all([a.untilCaptured(front, near), b.untilCaptured(far)]);
    await Promise.all([a.untilCertified(), b.untilCertified()]);
    const servers = { near: nearH2 as Script, far: farH2 as Script };
    return { mesh, a, b, front, far, client: client as Script, servers };
  } catch (error) {
    await mesh.destroy();
    throw error;
  }
}

/** `near` and `far` of HTTP/1.1 (declared), `near-h2` and `far-h2` (declared), `far-any` of HTTP/2 (nothing is said). */
async function register(
  mesh: Mesh,
  a: MeshHost,
  b: MeshHost,
  [front, near, far]: readonly [MeshContainer, MeshContainer, MeshContainer],
): Promise<void> {
  await mesh.apply({
    services: [
      { name: "near", protocol: "http" },
      { name: "far", protocol: "http" },
      { name: "near-h2", protocol: "http2" },
      { name: "far-h2", protocol: "grpc" },
      { name: "far-any" },
    ],
    endpoints: [
      a.endpoint("near", "near", near),
      b.endpoint("far", "far", far),
      a.endpoint("near-h2", "near-h2", near, 8_081),
      b.endpoint("far-h2", "far-h2", far, 8_081),
      b.endpoint("far-any", "far-any", far, 8_081),
    ],
    workloads: [front, near, far].map(({ account }) => account),
  });
}

interface Answers {
  readonly answers: readonly { readonly status: number; readonly text: string }[];
  readonly error?: string;
}

for (const mode of ["tproxy", "redirect"] as const) {
  describe(`HTTP/2 in containers, capture by ${mode}`, { skip: skipReason("curl") }, () => {
    let stage: Stage;
    before(async () => {
      stage = await makeStage(mode);
    });
    after(() => stage?.mesh.destroy());

    async function call(service: string, count: number): Promise<readonly string[]> {
      const { v4 } = await stage.mesh.addressesOf(service);
      const { answers, error } = await stage.client.ask<Answers>({ url: `http://${v4}`, count });
      assert.equal(error, undefined);
      assert.equal(answers.length, count);
      for (const { status, text } of answers) assert.equal(status, 200, text);
      return answers.map(({ text }) => text);
    }

    for (const service of ["near", "far"] as const) {
      test(`reaches ${service}, which speaks HTTP/1.1`, async () => {
        for (const text of await call(service, 20)) {
          const { server, headers } = JSON.parse(text);
          assert.equal(server, service);
          assert.equal(headers["x-forwarded-for"], "10.1.0.2");
          assert.equal(
            headers["via"],
            service === "near" ? "2.0 hostmesh" : "2.0 hostmesh, 2.0 hostmesh",
          );
        }
      });

      test(`reaches ${service}-h2 in HTTP/2, and the caller's identity with it`, async () => {
        for (const text of await call(`${service}-h2`, 20)) {
          const { server, version, headers } = JSON.parse(text);
          assert.deepEqual([server, version], [service, "2.0"]);
          assert.match(headers["x-forwarded-client-cert"], /sa\/front/);
        }
      });

      test(`is spoken to ${service}-h2 for a client of HTTP/1.1`, async () => {
        const { v4 } = await stage.mesh.addressesOf(`${service}-h2`);
        const { version } = JSON.parse(await stage.front.curl("--http1.1", `http://${v4}/`));
        assert.equal(version, "2.0");
      });
    }

    test("is found where nobody has said anything, and curl speaks it too", async () => {
      const { v4 } = await stage.mesh.addressesOf("far-any");
      const url = `http://${v4}/`;
      const { version } = JSON.parse(await stage.front.curl("--http2-prior-knowledge", url));
      assert.equal(version, "2.0");
      const explicit = await stage.front.curl(
        ...["--http2-prior-knowledge", "-H", "Host: far-any"],
        `http://${stage.a.host.address4}:4140/`,
      );
      assert.equal(JSON.parse(explicit).server, "far");
    });

    test("shares connections between hosts and to the application", async () => {
      const before = await stage.servers.far.ask<{ connections: number }>({});
      await call("far-h2", 400);
      const { connections } = await stage.servers.far.ask<{ connections: number }>({});
      assert.ok(connections - before.connections <= 8, `${connections - before.connections} more`);
      await stage.a.untilMetric("hostmesh_requests_in_flight", {}, 0);
    });

    test("is judged request by request", async () => {
      const deny = {
        apiVersion: "security.istio.io/v1",
        kind: "AuthorizationPolicy",
        metadata: { name: "no-x", namespace: "default" },
        spec: { action: "DENY", rules: [{ to: [{ operation: { paths: ["/x"] } }] }] },
      };
      await stage.mesh.policies(deny);
      const { v4 } = await stage.mesh.addressesOf("far-h2");
      const { answers } = await stage.client.ask<Answers>({ url: `http://${v4}`, count: 5 });
      assert.deepEqual(
        answers.map(({ status }) => status),
        [403, 403, 403, 403, 403],
      );
      const { version } = JSON.parse(
        await stage.front.curl("--http2-prior-knowledge", `http://${v4}/y`),
      );
      assert.equal(version, "2.0");
      await stage.mesh.noPolicies();
    });
  });
}
