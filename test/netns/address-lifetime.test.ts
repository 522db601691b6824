import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { until } from "../helpers/until.ts";
import { endpointsOf, PORTS } from "./helpers/identity-stage.ts";
import { Mesh, type MeshContainer, type MeshHost } from "./helpers/mesh.ts";
import { skipReason } from "./helpers/privilege.ts";

/** A container that goes, and the one that gets its addresses at once. */
interface Place {
  /** On the bridge both have one MAC too, as Docker makes it of the address. */
  readonly join: "routed" | "bridge";
  readonly address4: string;
  readonly address6: string;
  first: MeshContainer;
  second: MeshContainer;
}

const MAC = "02:42:0a:01:07:02";

const identityOf = (account: string) => `URI=spiffe://cluster.local/ns/default/sa/${account}`;

/** Puts a container, which the lab has joined by a route, on the host's bridge. */
async function toBridge(host: MeshHost, { container }: MeshContainer): Promise<void> {
  const { device, namespace, address4, address6 } = container;
  await host.host.namespace.script(`
    ip link show br0 >/dev/null 2>&1 || {
      ip link add br0 type bridge
      ip addr add 10.1.7.1/24 dev br0
      ip -6 addr add fd00:1:7::1/64 dev br0 nodad
      ip link set br0 up
      for switch in /proc/sys/net/bridge/bridge-nf-call-ip*tables; do
        if [ -e "$switch" ]; then echo 0 > "$switch"; fi
      done
    }
    ip route del ${address4}/32 dev ${device}
    ip -6 route del ${address6} dev ${device}
    ip link set ${device} master br0
  `);
  await namespace.script(`
    ip link set eth0 address ${MAC}
    ip route replace 10.1.7.1 dev eth0 scope link
    ip route replace default via 10.1.7.1 dev eth0
    ip -6 route replace fd00:1:7::1 dev eth0
    ip -6 route replace default via fd00:1:7::1 dev eth0
  `);
}

describe("addresses that other containers get while the registry is gone", {
  skip: skipReason("curl", "ipset", "bridge"),
}, () => {
  let mesh: Mesh;
  let a: MeshHost;
  let b: MeshHost;
  let near: MeshContainer;
  let far: MeshContainer;
  let places: Place[];

  const start = { capture: "tproxy", enrol: true } as const;
  const lifetimes = () => a.host.namespace.exec("cat", [`${a.folder}/address-lifetimes.json`]);
  const captured = () => a.host.namespace.exec("ipset", ["save"]);

  before(async () => {
    mesh = await Mesh.create();
    a = await mesh.host("a", { veth: "unnumbered" });
    b = await mesh.host("b", { veth: "unnumbered" });
    near = await a.container("near", { address4: "10.1.0.3", address6: "fd00:1::3" });
    far = await b.container("far", { address4: "10.2.0.3", address6: "fd00:2::3" });
    await Promise.all([near.app(), far.app(), mesh.startRegistry(b)]);
    const routed = { join: "routed", address4: "10.1.8.2", address6: "fd00:1:8::2" } as const;
    const bridge = { join: "bridge", address4: "10.1.7.2", address6: "fd00:1:7::2" } as const;
    places = [];
    for (const place of [routed, bridge]) {
      const first = await containerAt(place, `${place.join}1`);
      places.push({ ...place, first, second: first });
    }
    const firsts = places.map(({ first }) => first);
    const endpoints = [near, far].flatMap((server) => [
      ...endpointsOf(server.name, server, server.container.address4),
      ...endpointsOf(`${server.name}6`, server, server.container.address6 ?? ""),
    ]);
    const own = firsts.map((first) => a.endpoint(first.name, first.name, first, PORTS.http));
    await mesh.apply({
      endpoints: [...endpoints, ...own],
      workloads: [
        ...[near.account, far.account],
        ...firsts.map((first) => ({ ...first.account, uid: `uid of ${first.name}` })),
      ],
    });
    await Promise.all([a, b].map((host) => host.startDaemon(start)));
    await Promise.all([a, b].map((host) => host.untilCertified()));
    await Promise.all([a.untilCaptured(...firsts), mesh.settled()]);
  });
  after(() => mesh?.destroy());

  async function containerAt(
    { join, address4, address6 }: Pick<Place, "join" | "address4" | "address6">,
    name: string,
  ): Promise<MeshContainer> {
    const made = await a.container(name, { address4, address6 });
    if (join === "bridge") await toBridge(a, made);
    return made;
  }

  /** What servers of both hosts, by either family, are told of who calls; or what curl says. */
  async function seenFrom({ container }: MeshContainer): Promise<string[]> {
    const targets = [near, far].flatMap(({ container: { address4, address6 } }) => [
      address4,
      `[${address6}]`,
    ]);
    const asked = targets.map(async (target) => {
      const args = ["-sS", "-m", "3", `http://${target}:${PORTS.http}/`];
      const { stdout, stderr } = await container.namespace.run("curl", args);
      return /URI=[^"]*/.exec(stdout)?.[0] ?? (stdout === "" ? stderr : "nobody");
    });
    return Promise.all(asked);
  }

  const seenAs = (container: MeshContainer, account: string) =>
    until(async () => (await seenFrom(container)).every((one) => one === identityOf(account)), {
      ...{ timeoutMs: 30_000, what: `${container.name} seen as ${account}` },
    });

  test("the first ones act under their own names, and their links are known", async () => {
    for (const { first } of places) await seenAs(first, first.name);
    const tied = async () => (await lifetimes()).match(/"index":\d+/g)?.length === 4;
    await until(tied, { what: "all addresses tied to links" });
  });

  test("the next ones with their addresses never do, from their first packets on", async () => {
    const before = await a.metric("hostmesh_certificates", { state: "valid" });
    await mesh.registry.end("SIGKILL");
    for (const place of places) {
      const { join, first, address4, address6 } = place;
      await b.host.namespace.script(`ip route del ${address4}; ip -6 route del ${address6}`);
      await a.host.namespace.exec("ip", ["link", "del", first.container.device]);
      place.second = await containerAt(place, `${join}2`);
      const sayings = new Set<string>();
      const beganMs = performance.now();
      do for (const one of await seenFrom(place.second)) sayings.add(one);
      while (performance.now() - beganMs < 1_000);
      const all = `${join}: ${[...sayings].join("; ")}`;
      assert.ok(![...sayings].some((one) => one.startsWith("URI=")), all);
      assert.ok(sayings.has("nobody"), `its traffic goes direct, ${all}`);
      const sets = await captured();
      assert.ok(!sets.includes(`${address4}\n`) && !sets.includes(`${address6}\n`), sets);
    }
    await a.untilMetric("hostmesh_certificates", { state: "valid" }, before - places.length);
  });

  test("nor are they called by the others' names: those services have lost their endpoints", async () => {
    await Promise.all(places.map(({ second }) => second.app()));
    for (const { first, address4 } of places) {
      const direct = await a.http(`http://${address4}:${PORTS.http}/`);
      assert.match(direct.text ?? "", /"server"/, "it could be called");
      // The explicit proxy knows services by their names.
      const url = `http://${a.host.address4}:4140/`;
      const called = await near.http(url, { headers: { host: `${first.name}:${PORTS.http}` } });
      assert.equal(called.status, 503, called.text);
    }
  });

  test("a daemon that starts again, with what it had saved, does not take them for the others", async () => {
    assert.equal((await lifetimes()).match(/"index":null/g)?.length, 4);
    await a.daemon.end("SIGKILL");
    await a.startDaemon(start);
    for (const { second, address4 } of places) {
      for (let count = 0; count < 3; count++) {
        assert.deepEqual(
          (await seenFrom(second)).filter((one) => one.startsWith("URI=")),
          [],
        );
      }
      assert.ok(!(await captured()).includes(`${address4}\n`));
    }
  });

  test("new records make them somebody: under a new name, or the old one of another container", async () => {
    await mesh.startRegistry(b);
    const [routed, bridge] = places.map(({ first, second }) => ({ first, second }));
    await mesh.apply({ workloads: [{ ...routed!.first.account, uid: "another" }] });
    await mesh.call("DELETE", `/v1/mesh/workloads/default/${bridge!.first.name}`);
    await mesh.apply({ workloads: [{ ...bridge!.second.account, uid: "yet another" }] });
    await seenAs(routed!.second, routed!.first.name);
    await seenAs(bridge!.second, bridge!.second.name);
    const tied = async () => !(await lifetimes()).includes('"index":null');
    await until(tied, { what: "nothing left to remember" });
  });
});
