import assert from "node:assert/strict";
import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { type TestContext, test } from "node:test";
import type { AppProtocol } from "../../src/core/model.ts";
import { Http2Client, peer } from "../helpers/h2-peers.ts";
import { credentialsOf, issue, newAuthority, spiffe } from "../helpers/mesh-lab.ts";
import { SpanProbe } from "../helpers/otlp.ts";
import { endpoint, type PlaneLab, planeLab, service, workload } from "../helpers/plane.ts";
import { until } from "../helpers/until.ts";

const WEB = spiffe("web");
const HOST_A = "spiffe://cluster.local/ns/hostmesh-hosts/sa/node-a";
const SHOP = { ...workload(1, "shop", "127.0.0.1"), identity: spiffe("shop") };
/** At the endpoint's address, as the callee's host knows it. */
const SERVED = { ...workload(2, "web-1", "127.0.0.1"), identity: WEB, labels: { app: "web" } };

interface Host {
  readonly lab: PlaneLab;
  readonly probe: SpanProbe;
}

async function host(
  t: TestContext,
  name: string,
  sampling: number,
  workloads: readonly (typeof SHOP)[],
): Promise<Host> {
  const probe = new SpanProbe();
  const config = { host: name, telemetry: { tracing: { sampling } } };
  const lab = await planeLab({ config, spans: probe, workloads });
  t.after(() => lab.close());
  return { lab, probe };
}

/** `web` behind node-b, which samples nothing of its own accord, called from node-a by mutual TLS. */
async function twoHosts(
  t: TestContext,
  protocol: AppProtocol,
  answer: Parameters<typeof peer>[1],
): Promise<{ a: Host; b: Host }> {
  const server = await peer(protocol === "http2" ? 2 : 1, answer);
  t.after(() => server.close());
  const authority = newAuthority();
  const b = await host(t, "node-b", 0, [SERVED]);
  const { port } = await b.lab.plane.listen({
    ...{ entry: "mesh", host: "127.0.0.1", port: 0, reusePort: false },
  });
  const a = await host(t, "node-a", 1, [SHOP]);
  const give = (lab: PlaneLab, ...names: string[]) => {
    const held = names.map((identity) => issue(authority, identity));
    lab.plane.setCredentials(credentialsOf([authority], held));
  };
  give(a.lab, HOST_A, spiffe("shop"));
  give(b.lab, WEB);
  const at = (lab: PlaneLab, more: object) =>
    lab.services(service("web", [endpoint(server.port, { identity: WEB, ...more })], { protocol }));
  at(b.lab, {});
  at(a.lab, { local: false, host: "node-b", mesh: { host: "127.0.0.1", port } });
  return { a, b };
}

for (const protocol of ["http", "http2"] as const) {
  test(`a call of ${protocol} to another host is one trace: the caller's span, the callee's below it, and the application's below that`, async (t) => {
    const seen: string[] = [];
    const { a, b } = await twoHosts(t, protocol, (request, response) => {
      seen.push(String(request.headers["traceparent"]), String(request.headers["baggage"]));
      response.end("hello");
    });
    if (protocol === "http") {
      const headers = { host: "web", baggage: "k=v" };
      const asked = get({ port: a.lab.port, host: "127.0.0.1", path: "/x", headers, agent: false });
      const [response] = (await once(asked, "response")) as [IncomingMessage];
      for await (const _part of response.resume());
      assert.equal(response.statusCode, 200);
    } else {
      const client = new Http2Client(a.lab.port);
      const answer = await client.ask({
        ":path": "/x",
        ":authority": "web",
        baggage: "k=v",
      });
      assert.equal(answer.status, 200);
      client.close();
    }
    await until(() => a.probe.spans.length === 1 && b.probe.spans.length === 1);
    const [client, server] = [a.probe.spans[0]!, b.probe.spans[0]!];
    assert.deepEqual([client.kind, server.kind], ["client", "server"]);
    assert.deepEqual([client.parent, server.parent], ["", client.spanId]);
    assert.equal(server.traceId, client.traceId);
    assert.deepEqual(seen, [`00-${client.traceId}-${server.spanId}-03`, "k=v"]);
    assert.deepEqual(
      [client.resource["service.name"], server.resource["service.name"]],
      ["shop", "web"],
    );
    assert.equal(server.flags, 0x303, "its parent is of another host");
    assert.equal(server.attributes["hostmesh.entry"], "mesh");
    assert.equal(client.attributes["hostmesh.security"], "mutual_tls");
  });
}
