import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { formatHostPort } from "../../src/core/address.ts";
import { until } from "../helpers/until.ts";
import { Mesh, type MeshContainer, type MeshHost } from "./helpers/mesh.ts";
import { skipReason } from "./helpers/privilege.ts";
import type { HttpAnswer } from "./helpers/reports.ts";

/** Two hosts with their daemons, four containers of the mesh, and one that nobody has registered. */
interface Stage {
  readonly mesh: Mesh;
  readonly a: MeshHost;
  readonly b: MeshHost;
  readonly front: MeshContainer;
  readonly near: MeshContainer;
  readonly far: MeshContainer;
  readonly back: MeshContainer;
  readonly stranger: MeshContainer;
}

type Mode = "tproxy" | "redirect";

async function makeStage(mode: Mode): Promise<Stage> {
  const mesh = await Mesh.create();
  const veth = mode === "tproxy" ? "unnumbered" : "numbered";
  const a = await mesh.host("a", { veth });
  const b = await mesh.host("b", { veth });
  const [front, near] = [
    await a.container("front", { address4: "10.1.0.2", address6: "fd00:1::2" }),
    await a.container("near", { address4: "10.1.0.3", address6: "fd00:1::3" }),
  ];
  const [far, back, stranger] = [
    await b.container("far", { address4: "10.2.0.2", address6: "fd00:2::2" }),
    await b.container("back", { address4: "10.2.0.3", address6: "fd00:2::3" }),
    await b.container("stranger", { address4: "10.2.0.9", address6: "fd00:2::9" }),
  ];
  const stage = { mesh, a, b, front, near, far, back, stranger };
  try {
    await Promise.all([near.app(), far.app(), stranger.app(), mesh.startRegistry(a)]);
    await register(stage);
    await Promise.all([a, b].map((host) => host.startDaemon({ capture: mode })));
    await Promise.all([a.untilCaptured(front, near), b.untilCaptured(far, back)]);
    return stage;
  } catch (error) {
    await mesh.destroy();
    throw error;
  }
}

/** Services `near` and `far`, and `near6`, `far6` whose endpoints have IPv6 addresses. */
function register({ mesh, front, near, far, back }: Stage): Promise<unknown> {
  const endpoints = [near, far].flatMap(({ name, on, container: { address4, address6 } }) =>
    [
      { name, address: address4 },
      { name: `${name}6`, address: address6 },
    ].flatMap(({ name: service, address }) =>
      [
        { portName: "http", port: 8_080 },
        { portName: "summary", port: 7_000 },
        { portName: "greet", port: 7_001 },
      ].map(({ portName, port }) => {
        const id = `${service}-${portName}`;
        return { id, service, host: on.name, address, port, portName };
      }),
    ),
  );
  const services = ["near", "far", "near6", "far6"].map((name) => ({
    name,
    ports: [
      { name: "http", port: 80 },
      { name: "summary", port: 7_000 },
      { name: "greet", port: 7_001 },
    ],
  }));
  const workloads = [front, near, far, back].map(({ workload }) => workload);
  return mesh.apply({ services, endpoints, workloads });
}

/** What the application saw (`app.ts`). */
interface Seen {
  readonly server: string;
  readonly remote: string;
  readonly headers: Readonly<Record<string, string>>;
}

function seen({ status, text = "", error }: HttpAnswer): Seen {
  assert.equal(status, 200, text === "" ? error : text);
  return JSON.parse(text);
}

for (const mode of ["tproxy", "redirect"] as const) {
  describe(`two hosts, five containers, capture by ${mode}`, { skip: skipReason("curl") }, () => {
    let stage: Stage;
    before(async () => {
      stage = await makeStage(mode);
    });
    after(() => stage?.mesh.destroy());

    /** Virtual and endpoint addresses of a service by family, on the port of the one and the other. */
    async function places(target: MeshContainer, port: { virtual: number; endpoint: number }) {
      const [four, six] = [
        await stage.mesh.addressesOf(target.name),
        await stage.mesh.addressesOf(`${target.name}6`),
      ];
      const { address4, address6 } = target.container;
      return [
        { host: four.v4, port: port.virtual, family: 4 },
        { host: four.v6, port: port.virtual, family: 6 },
        { host: six.v4, port: port.virtual, family: 4 },
        { host: six.v6, port: port.virtual, family: 6 },
        { host: address4, port: port.endpoint, family: 4 },
        { host: address6 ?? "", port: port.endpoint, family: 6 },
      ];
    }

    for (const which of ["near", "far"] as const) {
      const where = which === "near" ? "within the host" : "on the other host";

      test(`HTTP to a service ${where} takes one hop and keeps the container's address`, async () => {
        const { front, a } = stage;
        const target = stage[which];
        for (const { host, port, family } of await places(target, {
          virtual: 80,
          endpoint: 8_080,
        })) {
          const place = formatHostPort(host, port);
          const { server, headers } = seen(await front.http(`http://${place}/x`));
          assert.equal(server, target.name);
          const source = family === 4 ? front.container.address4 : front.container.address6;
          assert.equal(headers["x-forwarded-for"], source, place);
          assert.equal(headers["via"], "1.1 hostmesh", `${place}: one hop`);
          assert.match(headers["traceparent"] ?? "", /^00-[0-9a-f]{32}-/);
          assert.equal(
            headers["host"],
            port === 80 ? (host.includes(":") ? `[${host}]` : host) : place,
          );
        }
        // The source's daemon names source and destination.
        const labels = { source: "default/front", protocol: "http", code: "2xx" };
        for (const destination of [`default/${which}`, `default/${which}6`]) {
          await a.untilMetric("hostmesh_requests_total", { ...labels, destination }, 3);
        }
        const others = await stage.b.metric("hostmesh_requests_total", { source: "default/front" });
        assert.equal(others, 0, "the other daemon carries nothing of it");
      });

      test(`opaque TCP to a service ${where} keeps half-close, whoever speaks first`, async () => {
        const { front, a } = stage;
        const target = stage[which];
        const summaries = await places(target, { virtual: 7_000, endpoint: 7_000 });
        for (const { host, port } of summaries) {
          const send = "\u0000binary\u0001".repeat(5_000);
          const { text, error } = await front.tcp(host, port, { send });
          assert.equal(error, undefined);
          assert.equal(text, `${target.name} read ${send.length} bytes`, host);
        }
        const greetings = await places(target, { virtual: 7_001, endpoint: 7_001 });
        for (const { host, port } of greetings) {
          const { text, error } = await front.tcp(host, port, { expect: "\r\n" });
          assert.equal(error, undefined);
          assert.equal(text, `220 ${target.name}\r\n`, host);
        }
        const labels = { source: "default/front", protocol: "tcp" };
        for (const destination of [`default/${which}`, `default/${which}6`]) {
          await a.untilMetric("hostmesh_requests_total", { ...labels, destination }, 6);
        }
      });
    }

    test("curl, which knows nothing of a proxy, reaches services by name", async () => {
      const { front, mesh } = stage;
      const [near, far] = [await mesh.addressesOf("near"), await mesh.addressesOf("far")];
      await front.container.namespace.hosts({ near: near.v4, far: far.v6 });
      assert.equal(JSON.parse(await front.curl("http://near/")).server, "near");
      assert.equal(JSON.parse(await front.curl("http://far/")).server, "far");
      const posted = await front.curl(
        "-d",
        "a=b",
        "-w",
        "%{http_code}",
        "-o",
        "/dev/null",
        "http://far/",
      );
      assert.equal(posted, "200");
    });

    test("a destination that nobody has registered is passed through untouched and counted", async () => {
      const { front, stranger, a } = stage;
      const count = async () => (await a.stats()).passthrough.requests;
      const before = await count();
      const { address4, address6 } = stranger.container;
      for (const address of [address4, address6 ?? ""]) {
        const place = formatHostPort(address, 8_080);
        const { server, headers } = seen(await front.http(`http://${place}/`));
        assert.equal(server, "stranger");
        assert.deepEqual(headers, { host: place, connection: "close" }, "not a header was added");
        const { text } = await front.tcp(address, 7_001, { expect: "\r\n" });
        assert.equal(text, "220 stranger\r\n");
      }
      await until(async () => (await count()) === before + 4, { what: "the count of four" });
    });

    test("a container that nobody has registered is not captured", async () => {
      const { stranger, near, b } = stage;
      const { text = "" } = await stranger.http(`http://${near.container.address4}:8080/`);
      const { remote, headers }: Seen = JSON.parse(text);
      assert.equal(remote, stranger.container.address4, "the connection is its own");
      assert.equal(headers["via"], undefined);
      const unknown = await b.metric("hostmesh_requests_total", { source: "unknown" });
      assert.equal(unknown, 0);
    });

    test("the other host's container calls back across, through its own daemon", async () => {
      const { back, mesh, b } = stage;
      const { v4, v6 } = await mesh.addressesOf("near");
      for (const [address, source] of [
        [v4, back.container.address4],
        [`[${v6}]`, back.container.address6],
      ]) {
        const { headers, remote } = seen(await back.http(`http://${address}/`));
        assert.equal(headers["x-forwarded-for"], source);
        assert.equal(remote, b.host.address4, "dialled by its host");
      }
      const labels = { source: "default/back", destination: "default/near" };
      await b.untilMetric("hostmesh_requests_total", labels, 2);
    });

    test("hostmesh check and iptables check find nothing wrong, stat shows the traffic", async () => {
      const { a } = stage;
      for (const args of [["check"], ["iptables", "check", "--capture", mode]]) {
        const program = a.cli(args);
        assert.equal(await program.end(), 0, `${args.join(" ")}\n${program.output}`);
      }
      // Its counts since the start: on a busy machine the checks above take longer than the window of the rates.
      const stat = a.cli(["stat", "-o", "wide"]);
      assert.equal(await stat.end(), 0, stat.output);
      assert.match(stat.output, /^near .*B +\d+ +[1-9]\d* +0 /m);
    });

    test("a container whose registrations are taken back is captured no longer", async () => {
      const { mesh, near, far, a } = stage;
      const { address4, address6 } = near.container;
      const viaOf = async () =>
        seen(await near.http(`http://${far.container.address4}:8080/`)).headers["via"];
      assert.equal(await viaOf(), "1.1 hostmesh");
      await mesh.call("DELETE", "/v1/mesh/workloads/default/near");
      for (const service of ["near", "near6"]) {
        for (const port of ["http", "summary", "greet"]) {
          await mesh.call("DELETE", `/v1/mesh/endpoints/a/${service}-${port}`);
        }
      }
      const left = async () => {
        const sets = await a.host.namespace.exec("ipset", ["save"]);
        return !sets.includes(` ${address4}\n`) && !sets.includes(` ${address6}\n`);
      };
      await until(left, { what: "its absence from the sets" });
      assert.equal(await viaOf(), undefined);
    });
  });
}
