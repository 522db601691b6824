import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { until } from "../helpers/until.ts";
import { footprint } from "./helpers/capture.ts";
import { Mesh, type MeshContainer, type MeshHost } from "./helpers/mesh.ts";
import { skipReason } from "./helpers/privilege.ts";
import type { Program } from "./helpers/program.ts";

/** `hostmesh up` with nothing configured but the address of the proxy port, and one call of Consul's API. */
describe("hostmesh up and one registration", { skip: skipReason("curl", "wrk") }, () => {
  let mesh: Mesh;
  let host: MeshHost;
  let shop: MeshContainer;
  let visitor: MeshContainer;
  let up: Program;
  let bare: string;
  const inHost = (command: string, ...args: string[]) => host.host.namespace.exec(command, args);

  before(async () => {
    mesh = await Mesh.create();
    host = await mesh.host("a", { veth: "unnumbered" });
    shop = await host.container("shop", { address4: "10.1.0.2" });
    visitor = await host.container("visitor", { address4: "10.1.0.3", address6: "fd00:1::3" });
    await shop.app();
    bare = await footprint(host.host.namespace);
    up = host.up(["--set", "ports.bind=0.0.0.0"]);
    await up.said(/try: curl -x/);
    const registration = { Name: "catalog", Address: "10.1.0.2", Port: 8_080 };
    const json = JSON.stringify(registration);
    const url = "http://127.0.0.1:15010/v1/agent/service/register";
    await inHost("curl", "-sS", "--fail-with-body", "-X", "PUT", "-d", json, url);
    const known = async () => (await host.stats()).services.length === 1;
    await until(known, { what: "the registration in the daemon" });
  });
  after(() => mesh?.destroy());

  /** What the application saw of the request, as curl printed it. */
  const seen = (text: string): { server: string; headers: Record<string, string> } =>
    JSON.parse(text);

  test("curl -x on the host reaches the service by each of its names", async () => {
    const names = ["catalog", "catalog.default", "catalog.default.svc"];
    const all = [...names, "catalog.default.svc.cluster.local", "catalog:80"];
    for (const name of all) {
      const proxy = ["-x", "http://127.0.0.1:4140"];
      const text = await inHost("curl", "-sS", "-m", "5", ...proxy, `http://${name}/a?b=c`);
      const { server, headers } = seen(text);
      assert.equal(server, "shop", name);
      // curl leaves out the port that a URL has anyway.
      assert.equal(headers["host"], name.replace(":80", ""));
      assert.equal(headers["via"], "1.1 hostmesh");
      assert.equal(headers["x-forwarded-for"], "127.0.0.1");
    }
  });

  test("wrk with a Host header loads the service without a failure", async (t) => {
    const args = ["-t1", "-c16", "-d1s", "-H", "Host: catalog", "http://127.0.0.1:4140/"];
    const text = await inHost("wrk", ...args);
    assert.doesNotMatch(text, /Non-2xx|Socket errors/);
    const [, rate = "0"] = /Requests\/sec: +([\d.]+)/.exec(text) ?? [];
    t.diagnostic(`${rate} requests/s`);
    assert.ok(Number(rate) > 200);
    const [service] = (await host.stats()).services;
    assert.equal(service?.service, "default/catalog");
    assert.ok((service?.requests ?? 0) > 200);
    assert.deepEqual(service?.errors, {});
  });

  test("http_proxy in a container reaches the proxy of its host", async () => {
    const { address4, address6 } = host.host;
    const script = (proxy: string) =>
      visitor.container.namespace.script(`http_proxy=${proxy} curl -sS -m 5 http://catalog/`);
    const { server, headers } = seen(await script(`http://${address4}:4140`));
    assert.equal(server, "shop");
    assert.equal(headers["x-forwarded-for"], visitor.container.address4);
    assert.equal(headers["via"], "1.1 hostmesh");
    await assert.rejects(script(`http://[${address6}]:4140`), /onnect/, "bound to IPv4 alone");
  });

  test("a container that is captured may use the proxy port as well", async () => {
    await host.untilCaptured(shop);
    const proxy = `http://${host.host.address4}:4140`;
    const { headers } = seen(await shop.curl("-x", proxy, "http://catalog/"));
    assert.equal(headers["via"], "1.1 hostmesh", "one hop, not two");
    assert.equal(headers["x-forwarded-for"], shop.container.address4);
    // Its name is that of the service which it serves.
    await host.untilMetric("hostmesh_requests_total", { source: "default/catalog" }, 1);
  });

  test("a service that does not exist is an error that names cause and component", async () => {
    const proxy = `http://${host.host.address4}:4140`;
    const head = await visitor.curl("-i", "-H", "Host: nowhere", `${proxy}/`);
    assert.match(head, /^HTTP\/1\.1 404 /);
    assert.match(head, /x-hostmesh-error: NO_ROUTE/i);
  });

  test("SIGTERM ends it and leaves no rule, set or route", async () => {
    assert.equal(await up.end("SIGTERM"), 0, up.output);
    assert.equal(await footprint(host.host.namespace), bare);
  });
});
