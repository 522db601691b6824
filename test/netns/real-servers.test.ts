import assert from "node:assert/strict";
import { after, before, describe, type TestContext, test } from "node:test";
import { Mesh, type MeshContainer, type MeshHost } from "./helpers/mesh.ts";
import { skipReason } from "./helpers/privilege.ts";
import { Program } from "./helpers/program.ts";
import { RealServers } from "./helpers/real-servers.ts";
import { run } from "./helpers/shell.ts";

const PORTS = { postgres: 5_432, redis: 6_379, maria: 3_306, nats: 4_222 };
type Name = keyof typeof PORTS;
const FIRST_CONTACT_MS = 300;
const LATER_MS = 20;
const CONNECTIONS = 21;

const COMMANDS = ["psql", "redis-server", "redis-cli", "mariadbd", "mariadb", "nats-server"];

/** Real servers and clients of other people's protocols, none of which anybody declared. */
describe("servers from Debian, captured", { skip: skipReason("setpriv", ...COMMANDS) }, () => {
  let mesh: Mesh;
  let host: MeshHost;
  /** A client that is captured, and one that nobody has registered, for comparison. */
  let client: MeshContainer;
  let outsider: MeshContainer;
  const servers = new Map<Name, MeshContainer>();
  const real = new RealServers();

  before(async () => {
    mesh = await Mesh.create();
    host = await mesh.host("a", { veth: "unnumbered", ipv6: false });
    client = await host.container("client", { address4: "10.1.0.2" });
    outsider = await host.container("outsider", { address4: "10.1.0.3" });
    let last = 9;
    for (const name of Object.keys(PORTS) as Name[]) {
      last += 1;
      servers.set(name, await host.container(name, { address4: `10.1.0.${last}` }));
    }
    await Promise.all([
      real.postgres(server("postgres")),
      real.redis(server("redis")),
      real.mariadb(server("maria")),
      real.nats(server("nats")),
      mesh.startRegistry(host),
    ]);
    for (const [name, at] of servers) {
      const { address4: Address } = at.container;
      const body = { Name: name, Address, Port: PORTS[name] };
      await mesh.call("PUT", "/v1/agent/service/register", body);
    }
    await mesh.apply({ workloads: [client.workload] });
    await host.startDaemon({ capture: "tproxy" });
    await host.untilCaptured(client, ...servers.values());
  });
  after(async () => {
    await mesh?.destroy();
    real.close();
  });

  function server(name: Name): MeshContainer {
    const found = servers.get(name);
    if (found === undefined) throw new Error(`no server ${name}`);
    return found;
  }

  /** Where the client finds it, and that the daemon carries it. */
  async function carried(
    name: Name,
  ): Promise<{ host: string; untilTunnels: (count: number) => Promise<void> }> {
    const { v4 } = await mesh.addressesOf(name);
    const labels = { source: "default/client", destination: `default/${name}`, protocol: "tcp" };
    const untilTunnels = (count: number) =>
      host.untilMetric("hostmesh_requests_total", labels, count);
    return { host: v4, untilTunnels };
  }

  const median = (values: number[]): number =>
    values.sort((x, y) => x - y)[Math.floor(values.length / 2)] ?? Number.NaN;

  async function firstByteMs(from: MeshContainer, address: string, port: number): Promise<number> {
    const { firstMs, error } = await from.tcp(address, port, { expect: "" });
    assert.equal(error, undefined);
    assert(firstMs !== null);
    return firstMs;
  }

  async function medianMs(from: MeshContainer, address: string, port: number): Promise<number> {
    const all: number[] = [];
    for (let n = 0; n < CONNECTIONS; n++) all.push(await firstByteMs(from, address, port));
    return median(all);
  }

  for (const name of ["maria", "nats"] as const) {
    // Before anything else has spoken to it: what is learned is remembered.
    test(`${name} speaks first and is not kept waiting`, async (t: TestContext) => {
      const port = PORTS[name];
      const { address4 } = server(name).container;
      const { host: virtual } = await carried(name);
      await firstByteMs(outsider, address4, port);
      const direct = await medianMs(outsider, address4, port);
      const first: number[] = [];
      for (const place of [virtual, address4]) first.push(await firstByteMs(client, place, port));
      const later = await medianMs(client, virtual, port);
      t.diagnostic(
        `first byte of ${name}: direct ${direct.toFixed(2)} ms, first contact ${first.map((ms) => ms.toFixed(2)).join(" and ")} ms, later ${later.toFixed(2)} ms (medians of ${CONNECTIONS})`,
      );
      assert.ok(Math.max(...first) <= direct + FIRST_CONTACT_MS);
      assert.ok(later <= direct + LATER_MS);
    });
  }

  test("PostgreSQL answers psql, and a large result comes whole", async (t) => {
    const { host: address, untilTunnels } = await carried("postgres");
    const psql = (from: MeshContainer, where: string, query: string) =>
      from.container.namespace.exec("psql", ["-h", where, "-U", "postgres", "-Atc", query]);
    assert.equal(await psql(client, address, "select 6 * 7"), "42\n");
    const created = "create table t as select g, md5(g::text) from generate_series(1, 1000) g";
    assert.equal(await psql(client, address, created), "SELECT 1000\n");
    const large = "select g, repeat(md5(g::text), 20) from generate_series(1, 30000) g";
    const start = performance.now();
    const through = await psql(client, address, large);
    const ms = performance.now() - start;
    const direct = await psql(outsider, server("postgres").container.address4, large);
    assert.ok(through === direct, "not a byte differs");
    assert.equal(through.split("\n").length, 30_001);
    t.diagnostic(
      `${(through.length / 1e6).toFixed(1)} MB through the proxy in ${ms.toFixed(0)} ms`,
    );
    await untilTunnels(3);
  });

  test("Redis answers redis-cli, a pipeline, inline commands and a subscriber", async () => {
    const { host: address, untilTunnels } = await carried("redis");
    const { namespace } = client.container;
    const cli = (...args: string[]) => namespace.exec("redis-cli", ["-h", address, ...args]);
    assert.equal(await cli("set", "k", "v"), "OK\n");
    assert.equal(await cli("get", "k"), "v\n");
    const lines = Array.from({ length: 5_000 }, (_, n) => `SET key${n} ${"x".repeat(100)}\r\n`);
    const piped = await namespace.exec("redis-cli", ["-h", address, "--pipe"], lines.join(""));
    assert.match(piped, /errors: 0, replies: 5000/);
    // Inline commands look like the first line of an HTTP request for a while.
    const inline = await client.tcp(address, 6_379, { send: "GET k\r\n", expect: "v\r\n" });
    assert.equal(inline.text, "$1\r\nv\r\n");
    const subscriber = new Program(namespace, "redis-cli", ["-h", address, "subscribe", "news"]);
    await subscriber.said(/subscribe/);
    assert.equal(await cli("publish", "news", "hello"), "1\n");
    await subscriber.said(/hello/);
    await subscriber.end("SIGKILL");
    await untilTunnels(6);
  });

  test("MariaDB answers its client", async () => {
    const { host: address } = await carried("maria");
    const query = (text: string) =>
      client.container.namespace.exec("mariadb", [
        "--no-defaults",
        "-h",
        address,
        "-D",
        "mysql",
        "-BNe",
        text,
      ]);
    assert.equal(await query("select 6 * 7"), "42\n");
    const rows = await query("select seq, repeat('x', 100) from seq_1_to_20000");
    assert.equal(rows.split("\n").length, 20_001);
  });

  test("NATS takes a subscription and delivers what is published", async () => {
    const { host: address } = await carried("nats");
    const talk = {
      after: "\r\n",
      send: 'CONNECT {"verbose":false}\r\nSUB greet 1\r\nPUB greet 5\r\nhello\r\nPING\r\n',
      expect: "PONG\r\n",
    };
    for (const more of [talk, { send: talk.send, expect: talk.expect }]) {
      const { text, error } = await client.tcp(address, 4_222, more);
      assert.equal(error, undefined, text);
      assert.match(text, /^INFO \{.*\}[ ]*\r\nMSG greet 1 5\r\nhello\r\nPONG\r\n$/);
    }
  });

  test("none of it was taken for HTTP", async () => {
    const http = await host.metric("hostmesh_requests_total", { protocol: "http" });
    assert.equal(http, 0);
    const { stdout } = await run("ip", ["netns", "pids", client.container.namespace.name]);
    assert.equal(stdout.trim().split("\n").length, 1, "only the agent is left in the client");
  });
});
