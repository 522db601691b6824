import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { closeEndpoints, http2Endpoint } from "../helpers/h2-endpoints.ts";
import { Http2Client } from "../helpers/h2-peers.ts";
import { endpoint, type PlaneLab, planeLab, service } from "../helpers/plane.ts";
import { until } from "../helpers/until.ts";

const closers: (() => Promise<void> | void)[] = [];
after(async () => {
  for (const close of closers.reverse()) await close();
  closeEndpoints();
});

const GET = { ":path": "/", ":authority": "web" };
const CALL = {
  ...{ ":method": "POST", ":path": "/s/m", ":authority": "web" },
  ...{ "content-type": "application/grpc", te: "trailers" },
};

async function setUp(port: number, protocol: "http2" | "grpc"): Promise<[PlaneLab, Http2Client]> {
  const lab = await planeLab();
  lab.services(service("web", [endpoint(port)], { protocol }));
  const client = new Http2Client(lab.port);
  closers.push(
    () => client.close(),
    () => lab.close(),
  );
  return [lab, client];
}

describe("requests of HTTP/2 that are refused before they are read", () => {
  for (const [what, more, status] of [
    ["a path with a backslash", { ":path": "/a\\b" }, 400],
    ["an unknown expectation", { expect: "x" }, 417],
  ] as const) {
    it(`have no content in answer to HEAD: ${what} (RFC 9110 section 9.3.2)`, async () => {
      const [, client] = await setUp(1, "http2");
      const { status: got, body } = await client.ask({ ...GET, ":method": "HEAD", ...more });
      assert.deepEqual([got, body.length], [status, 0]);
      assert.ok((await client.ask({ ...GET, ...more })).body.length > 0, "GET is told more");
    });
  }

  it("for too many fields are HEAD_TOO_LARGE, to the client and in the log", async () => {
    const [lab, client] = await setUp(1, "http2");
    const fields = Object.fromEntries(Array.from({ length: 120 }, (_, at) => [`x-${at}`, "1"]));
    const { status, headers } = await client.ask({ ...GET, ...fields });
    assert.deepEqual([status, headers["x-hostmesh-error"]], [431, "HEAD_TOO_LARGE"]);
    await until(() => lab.facts.length === 1);
    assert.deepEqual([lab.facts[0]?.status, lab.facts[0]?.error], [431, "HEAD_TOO_LARGE"]);
  });
});

describe("a grpc-status that is no number", () => {
  for (const status of ["abc", "100"]) {
    it(`is UNKNOWN behind content as well as alone: ${status}`, async () => {
      const { port } = await http2Endpoint((stream, fields) => {
        const head = { ":status": 200, "content-type": "application/grpc" };
        if (fields[":path"] === "/alone") {
          stream.respond({ ...head, "grpc-status": status }, { endStream: true });
          return;
        }
        stream.respond(head, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": status }));
        stream.end(Buffer.alloc(5));
      });
      const [lab, client] = await setUp(port, "grpc");
      for (const path of ["/alone", "/behind"]) await client.ask({ ...CALL, ":path": path }, ["x"]);
      await until(() => lab.facts.length === 2);
      assert.deepEqual(
        lab.facts.map(({ grpcStatus }) => grpcStatus),
        [2, 2],
      );
    });
  }
});
