import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { answeredByMesh } from "../../bench/contestants/answered-by-mesh.ts";

const line = (service: string, labels: { code?: string; error?: string; entry?: string }) => {
  const { code = "2xx", error = "", entry = "mesh" } = labels;
  return `hostmesh_requests_total{source="",destination="${service}",code="${code}",error="${error}",entry="${entry}",protocol="http"} 3`;
};

test("only what came in by mutual TLS and ended well counts as answered by it", () => {
  const metrics = [
    "# TYPE hostmesh_requests_total counter",
    line("default/web-0", {}),
    line("default/web-0", { code: "0" }),
    line("default/web-1", { entry: "explicit" }),
    line("default/web-2", { code: "5xx" }),
    line("default/web-3", { code: "0", error: "CONNECT_REFUSED" }),
    'hostmesh_requests_in_flight{source="",destination="default/web-4",entry="mesh"} 1',
  ].join("\n");
  assert.deepEqual([...answeredByMesh(metrics)], [["default/web-0", 6]]);
});

/** Runs the check against a daemon's metrics that say so for as long as they are asked. */
async function check(t: TestContext, pages: readonly string[], services: string) {
  let asked = 0;
  const server = createServer((_, response) => {
    response.end(pages[Math.min(asked++, pages.length - 1)]);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`;
  const script = new URL("../../bench/contestants/check-mesh-entry.ts", import.meta.url);
  const seconds = pages.length === 1 ? "0" : "20";
  return promisify(execFile)(process.execPath, [script.pathname, url, services, seconds]);
}

test("a service that was reached in clear text fails the check", async (t) => {
  const both = [line("default/web-0", {}), line("default/web-1", { entry: "explicit" })].join("\n");
  await assert.rejects(check(t, [both], "web-0,web-1"), /no request for web-1 came in by mutual/);
});

test("the check waits until every service was reached by mutual TLS", async (t) => {
  const first = line("default/web-0", {});
  await check(t, ["", first, `${first}\n${line("default/web-1", {})}`], "web-0,web-1");
});

const onLinux = { skip: process.platform === "linux" ? false : "needs /proc" };

async function listening(t: TestContext, server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

const BODY = Buffer.alloc(16 * 1_048_576);

/** What the script counts behind a proxy that opens `links` connections for all requests, or one for each (null). */
async function countedHop(t: TestContext, links: number | null, isTunnel: boolean) {
  const other = createTcpServer((socket) => socket.on("error", () => undefined).resume());
  const port = await listening(t, other);
  let opened = 0;
  const proxy = createTcpServer((socket) => {
    socket.on("error", () => undefined);
    const answer = () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      // As a body that the client does not read.
      if (isTunnel) socket.on("end", () => socket.end());
      else socket.end(BODY);
    };
    if (links !== null && opened >= links) {
      socket.once("data", answer);
      return;
    }
    opened++;
    const link = connect(port, "127.0.0.1");
    socket.on("close", () => link.destroy());
    link.on("error", () => undefined).once("connect", () => socket.once("data", answer));
  });
  const target = { host: "127.0.0.1", port: await listening(t, proxy), authority: "web-0:80" };
  const folder = await mkdtemp(join(tmpdir(), "hop-test-"));
  t.after(() => rm(folder, { recursive: true }));
  const file = join(folder, "job.json");
  await writeFile(
    file,
    JSON.stringify({ target: { ...target, connect: isTunnel }, port, atOnce: 8 }),
  );
  const script = new URL("../../bench/contestants/count-hop.ts", import.meta.url);
  const { stdout } = await promisify(execFile)(process.execPath, [script.pathname, file, "20"]);
  return Number(stdout);
}

test(
  "connections between two proxies are counted while requests or tunnels are held",
  onLinux,
  async (t) => {
    assert.equal(await countedHop(t, null, false), 8);
    assert.equal(await countedHop(t, null, true), 8);
    assert.equal(await countedHop(t, 2, true), 2);
  },
);
