import assert from "node:assert/strict";
import { until } from "../../helpers/until.ts";
import type { DaemonOptions } from "./mesh.ts";
import { Mesh, type MeshContainer, type MeshHost } from "./mesh.ts";
import type { HttpAnswer } from "./reports.ts";

/** Two enrolled hosts with their containers, and a third one with nothing of ours on it. */
export interface IdentityStage {
  readonly mesh: Mesh;
  readonly a: MeshHost;
  readonly b: MeshHost;
  /** Neither a daemon nor a registration: somebody on the network. */
  readonly outside: MeshHost;
  /** A caller and a server on each host, and a registered workload, `evil/attacker`, that wants to be another. */
  readonly front: MeshContainer;
  readonly near: MeshContainer;
  readonly attacker: MeshContainer;
  readonly far: MeshContainer;
  readonly back: MeshContainer;
  /** On b; nobody has registered it. */
  readonly stranger: MeshContainer;
}

export interface StageOptions {
  readonly capture?: DaemonOptions["capture"];
  readonly onDeath?: DaemonOptions["onDeath"];
  /** Settings of the registry, and of both daemons. */
  readonly registry?: readonly string[];
  readonly daemon?: readonly string[];
}

export const PORTS = { http: 8_080, summary: 7_000, greet: 7_001, echo: 7_002 };

export async function identityStage(options: StageOptions = {}): Promise<IdentityStage> {
  const { capture = "tproxy", onDeath = "open", registry = [], daemon = [] } = options;
  const mesh = await Mesh.create();
  try {
    const veth = capture === "tproxy" ? "unnumbered" : "numbered";
    const [a, b] = [await mesh.host("a", { veth }), await mesh.host("b", { veth })];
    const outside = await mesh.host("c", { veth });
    if (capture === "redirect") await addressLinks([a, b]);
    const container = (host: MeshHost, name: string, digit: number) => {
      const net = host === a ? 1 : 2;
      const address4 = `10.${net}.0.${digit}`;
      return host.container(name, { address4, address6: `fd00:${net}::${digit}` });
    };
    const [front, near, attacker] = [
      await container(a, "front", 2),
      await container(a, "near", 3),
      await container(a, "attacker", 9),
    ];
    const [far, back, stranger] = [
      await container(b, "far", 2),
      await container(b, "back", 3),
      await container(b, "stranger", 9),
    ];
    const stage = { mesh, a, b, outside, front, near, attacker, far, back, stranger };
    await Promise.all([near.app(), far.app(), mesh.startRegistry(a, registry)]);
    await register(stage);
    const start = { capture, onDeath, enrol: true, set: daemon };
    await Promise.all([a, b].map((host) => host.startDaemon(start)));
    await Promise.all([a, b].map((host) => host.untilCertified()));
    await Promise.all([a.untilCaptured(front, near, attacker), b.untilCaptured(far, back)]);
    await meshed(stage);
    return stage;
  } catch (error) {
    await mesh.destroy();
    throw error;
  }
}

/** Where REDIRECT leads what comes from other hosts: an uplink has addresses. */
async function addressLinks(hosts: readonly MeshHost[]): Promise<void> {
  for (const [at, { host }] of hosts.entries()) {
    for (const link of [1, 2]) {
      await host.namespace.script(`
        ip addr add 10.254.10${at}.${link}/32 dev link${link}
        ip -6 addr add fd00:254:10${at}::${link}/128 dev link${link} nodad preferred_lft 0
      `);
    }
  }
}

function register({ mesh, front, near, attacker, far, back }: IdentityStage): Promise<unknown> {
  const endpoints = [near, far].flatMap((server) => [
    ...endpointsOf(server.name, server, server.container.address4),
    ...endpointsOf(`${server.name}6`, server, server.container.address6 ?? ""),
  ]);
  const services = ["near", "far", "near6", "far6"].map((name) => ({
    name,
    ports: Object.entries(PORTS).map(([port, number]) => ({
      name: port,
      port: port === "http" ? 80 : number,
    })),
  }));
  const accounts = [front, near, far, back].map(({ account }) => account);
  const workloads = [...accounts, { ...attacker.account, namespace: "evil" }];
  return mesh.apply({ services, endpoints, workloads });
}

/** An endpoint of the service for each port of the application. */
export function endpointsOf(service: string, { on }: MeshContainer, address: string): object[] {
  return Object.entries(PORTS).map(([portName, port]) => {
    return { id: `${service}-${portName}`, service, host: on.name, address, port, portName };
  });
}

/** Waits until each host has heard where the other takes mutual TLS: before that it may dial in the clear. */
async function meshed({ mesh, a, b, front, back, near, far }: IdentityStage): Promise<void> {
  const { text = "" } = await mesh.call("GET", "/v1/mesh/hosts");
  const places: { name: string; address: string }[] = JSON.parse(text);
  assert.deepEqual(
    places.map(({ name, address }) => [name, address]).sort(),
    [a, b].map(({ name, host }) => [name, host.address4]),
  );
  await mesh.settled();
  for (const [from, to] of [
    [front, far],
    [back, near],
  ] as const) {
    const seen = seenBy(await from.http(`http://${to.container.address4}:${PORTS.http}/`));
    assert.match(seen.headers["x-forwarded-client-cert"] ?? "", /Hash=/, "by mutual TLS");
  }
}

/** Waits until plaintext from outside to these servers is captured, or is no longer. */
export async function untilGuarded(guarded: boolean, ...servers: readonly MeshContainer[]) {
  const all = async () => {
    const seen = await Promise.all(
      servers.map(async ({ on, container: { address4, address6 } }) => {
        const sets = await on.host.namespace.exec("ipset", ["save"]);
        const entries = [`add hostmesh-guard4 ${address4}\n`, `add hostmesh-guard6 ${address6}\n`];
        return entries.every((entry) => sets.includes(entry) === guarded);
      }),
    );
    return seen.every((one) => one);
  };
  await until(all, { what: `${servers.map(({ name }) => name)} guarded: ${guarded}` });
}

/** What the application saw of a request (`app.ts`). */
export interface Seen {
  readonly server: string;
  readonly remote: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly url: string;
}

/** Of an answer that came from the application. */
export function seenBy({ status, text = "", error }: HttpAnswer): Seen {
  assert.equal(status, 200, text === "" ? error : text);
  return JSON.parse(text);
}

/** What an `X-Forwarded-Client-Cert` says of its one element. */
export function clientCert(seen: Seen): { by?: string; hash?: string; uri?: string } {
  const line = seen.headers["x-forwarded-client-cert"] ?? "";
  assert.doesNotMatch(line, /,/, "one element");
  const fields = line.split(";").map((part) => part.split("=", 2));
  const { By: by, Hash: hash, URI: uri } = Object.fromEntries(fields);
  return { by, hash, uri };
}

/** An Istio resource of the security group, in the namespace of all workloads here. */
export function istio(
  kind: "AuthorizationPolicy" | "PeerAuthentication",
  name: string,
  spec: object,
): object {
  const metadata = { name, namespace: "default" };
  return { apiVersion: "security.istio.io/v1", kind, metadata, spec };
}
