import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
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
