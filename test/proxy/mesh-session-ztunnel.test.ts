import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { ConnectionOptions } from "node:tls";
import type { HostPort } from "../../src/core/address.ts";
import type { Policy } from "../../src/core/policy.ts";
import { HBONE_PORT } from "../../src/http/h2/mesh-wire.ts";
import { sniOf } from "../../src/identity/sni.ts";
import type { Authority } from "../../src/identity/x509.ts";
import { credentialsOf, issue, newAuthority, rawClient } from "../helpers/mesh-lab.ts";
import {
  CALLER,
  endOf,
  MeshClient,
  OTHER,
  TARGET,
  tcpServer,
  WEB,
} from "../helpers/mesh-streams.ts";
import {
  endpoint,
  type PlaneLab,
  planeLab,
  policyUpdate,
  service,
  workload,
} from "../helpers/plane.ts";
import { RawClient } from "../helpers/raw.ts";
import { until } from "../helpers/until.ts";

/** Address of the called workload, as a connection that was captured has it for its destination. */
const POD = "127.0.0.7";

interface Stage {
  readonly lab: PlaneLab;
  /** Where connections from outside end up, which were on their way to `called`. */
  readonly inbound: number;
  readonly called: { place: HostPort };
  readonly tcp: number;
  readonly authority: Authority;
}

/** A host with a workload at `POD`, whose server of TCP is on loopback. */
async function stage(t: TestContext): Promise<Stage> {
  const { port: tcp } = await tcpServer(t, (socket) => void socket.pipe(socket));
  const called = { place: { host: POD, port: HBONE_PORT } };
  const lab = await planeLab({
    workloads: [{ ...workload(0, "web", POD), identity: WEB }],
    destination: { of: () => called.place },
  });
  t.after(() => lab.close());
  const { port: inbound } = await lab.plane.listen({
    ...{ entry: "inbound", host: "127.0.0.1", port: 0, reusePort: false },
  });
  const authority = newAuthority();
  const held = [issue(authority, WEB), issue(authority, OTHER)];
  lab.plane.setCredentials(credentialsOf([authority], held));
  lab.services(
    service("web", [endpoint(tcp, { identity: WEB, target: TARGET })], { protocol: "tcp" }),
  );
  return { lab, inbound, called, tcp, authority };
}

/** TLS as a ztunnel does it: no server name, ALPN `h2`, and a look at who is there. */
async function ztunnel(t: TestContext, at: Stage, options: ConnectionOptions = {}) {
  const shown = issue(at.authority, CALLER);
  const socket = await rawClient(at.inbound, shown, "", {
    ...{ servername: "", ALPNProtocols: ["h2"], ...options },
  });
  if (socket instanceof Error) return socket;
  const client = new MeshClient(socket);
  t.after(() => client.close());
  return { client, proved: socket.getPeerCertificate().subjectaltname };
}

const DENY: Policy = {
  ...{ kind: "authorization", createdMs: 0, dryRun: false, action: "deny" },
  source: "AuthorizationPolicy default/deny",
  scope: { namespace: "default", labels: {} },
  rules: [{ from: [{ principals: [CALLER.replace("spiffe://", "")] }], to: [], when: [] }],
};

describe("a ztunnel that calls a workload at its own address", () => {
  test("meets the workload's identity without a server name, and gets its tunnel", async (t) => {
    const at = await stage(t);
    const met = await ztunnel(t, at);
    assert.ok(!(met instanceof Error));
    assert.equal(met.proved, `URI:${WEB}`);
    const { stream, status } = await met.client.tunnel(`127.0.0.1:${at.tcp}`, {
      ...{
        forwarded: 'for="10.244.2.9:31000"',
        traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-01`,
      },
      baggage: "k8s.cluster.name=Kubernetes,k8s.namespace.name=default,k8s.pod.name=caller-1",
    });
    assert.equal(status, 200);
    const end = endOf(stream);
    stream.end("by HBONE");
    assert.equal((await end).body.toString(), "by HBONE");
    await until(() => at.lab.facts.length === 1);
    const [facts] = at.lab.facts;
    assert.deepEqual([facts?.entry, facts?.protocol, facts?.error], ["mesh", "tcp", null]);
    at.lab.plane.apply(policyUpdate([DENY]));
    assert.equal((await met.client.tunnel(`127.0.0.1:${at.tcp}`)).status, 401);
    assert.equal((await met.client.tunnel(`${POD}:1`)).status, 400);
  });

  test("meets another identity only where it asks for that by name", async (t) => {
    const at = await stage(t);
    const named = await ztunnel(t, at, { servername: sniOf(OTHER) });
    assert.ok(!(named instanceof Error));
    assert.equal(named.proved, `URI:${OTHER}`);
    assert.equal((await named.client.tunnel(`127.0.0.1:${at.tcp}`)).status, 400);
    const unknown = await ztunnel(t, at, { servername: "pod.example" });
    assert.ok(!(unknown instanceof Error));
    assert.equal(unknown.proved, `URI:${WEB}`);
  });

  test("is a stranger without a certificate of the mesh", async (t) => {
    const at = await stage(t);
    const stranger = await rawClient(at.inbound, null, "", {
      servername: "",
      ALPNProtocols: ["h2"],
    });
    if (!(stranger instanceof Error)) {
      stranger.on("error", () => undefined);
      await new Promise((resolve) => stranger.once("close", resolve));
    }
    await until(() => at.lab.plane.stats().connections === 0);
    assert.deepEqual(at.lab.facts, []);
  });

  test("finds nobody at other ports, at other addresses, and where there is no certificate", async (t) => {
    const at = await stage(t);
    for (const place of [
      { host: POD, port: HBONE_PORT + 1 },
      { host: "127.0.0.8", port: HBONE_PORT },
    ]) {
      at.called.place = place;
      assert.ok((await ztunnel(t, at)) instanceof Error, place.host);
    }
    at.called.place = { host: POD, port: HBONE_PORT };
    at.lab.plane.setCredentials(null);
    assert.ok((await ztunnel(t, at)) instanceof Error);
  });

  test("does not take the port from a workload that has registered it", async (t) => {
    const at = await stage(t);
    const own = endpoint(HBONE_PORT, { identity: WEB, address: POD });
    at.lab.services(service("own", [own], { protocol: "tcp" }));
    const client = await RawClient.open(at.inbound);
    t.after(() => client.close());
    client.send("hello");
    // Nobody need be there: it is enough that its endpoint was dialled, and no handshake awaited.
    await until(() => at.lab.facts[0]?.service?.key === "default/own");
  });
});
