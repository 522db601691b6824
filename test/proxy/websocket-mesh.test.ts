import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { Duplex } from "node:stream";
import { describe, type TestContext, test } from "node:test";
import type { PolicyTarget } from "../../src/core/policy.ts";
import { credentialsOf, issue, newAuthority, spiffe } from "../helpers/mesh-lab.ts";
import { endpoint, planeLab, service } from "../helpers/plane.ts";
import { openTunnel, type ServerTunnel, tunnelServer } from "../helpers/tunnels.ts";
import { until } from "../helpers/until.ts";
import { websocketFrame } from "../helpers/websocket-frames.ts";

const WEB = spiffe("web");
const HOST_A = "spiffe://cluster.local/ns/hostmesh-hosts/sa/node-a";

const target: PolicyTarget = {
  ...{ key: "default/web", namespace: "default", serviceAccount: "web", labels: {} },
  ...{ services: ["web"], identity: WEB },
};

/** A WebSocket from a client of one host to an endpoint of another, with real TLS between them. */
async function tunnelled(t: TestContext, client: 1 | 2, server: 1 | 2) {
  const asked = Promise.withResolvers<ServerTunnel>();
  const app = await tunnelServer(server, asked.resolve);
  t.after(() => app.close());
  const authority = newAuthority();
  const b = await planeLab({ config: { host: "node-b" } });
  t.after(() => b.close());
  const { port: meshPort } = await b.plane.listen({
    ...{ entry: "mesh", host: "127.0.0.1", port: 0, reusePort: false },
  });
  b.plane.setCredentials(credentialsOf([authority], [issue(authority, WEB)]));
  const protocol = server === 1 ? "http" : "http2";
  b.services(service("web", [endpoint(app.port, { identity: WEB, target })], { protocol }));
  const a = await planeLab({ config: { host: "node-a" } });
  t.after(() => a.close());
  a.plane.setCredentials(credentialsOf([authority], [issue(authority, HOST_A)]));
  const mesh = { host: "127.0.0.1", port: meshPort };
  const remote = endpoint(app.port, { local: false, host: "node-b", identity: WEB, mesh });
  a.services(service("web", [remote], { protocol }));
  const opening = openTunnel(client, a.port);
  const far = (await asked.promise).accept();
  const { duplex, close } = await opening;
  t.after(close);
  return { a, b, far, near: duplex as Duplex };
}

/** Of an unmasked Close frame with the proxy's reason. */
const CLOSE_BYTES = 4 + "the proxy shuts down".length;

async function readAll(stream: Duplex, bytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  stream.on("data", (chunk: Buffer) => {
    parts.push(chunk);
    size += chunk.length;
  });
  await until(() => size >= bytes, { what: `${bytes} bytes` });
  return Buffer.concat(parts);
}

for (const client of [1, 2] as const) {
  for (const server of [1, 2] as const) {
    describe(`a WebSocket to another host, from HTTP/${client} to HTTP/${server}`, () => {
      test("carries bytes both ways, and ends at both hosts", async (t) => {
        const { a, b, near, far } = await tunnelled(t, client, server);
        const [up, down] = [randomBytes(3_000_000), randomBytes(2_000_000)];
        near.write(up);
        far.write(down);
        const got = await Promise.all([readAll(far, up.length), readAll(near, down.length)]);
        assert.ok(got[0].equals(up) && got[1].equals(down));
        near.end();
        far.end();
        for (const { facts } of [a, b]) {
          await until(() => facts.length === 1);
          const { status, requestBytes, responseBytes, error } = facts[0] ?? {};
          assert.deepEqual(
            [status, requestBytes, responseBytes, error],
            [101, up.length, down.length, null],
          );
        }
        assert.equal(b.facts[0]?.entry, "mesh");
        assert.equal(a.plane.stats().busyUpstream, 0);
      });

      for (const who of ["a", "b"] as const) {
        test(`is closed with notice at both ends when host ${who} shuts down`, async (t) => {
          const { a, b, near, far } = await tunnelled(t, client, server);
          const told = [near, far].map((stream) => readAll(stream, CLOSE_BYTES));
          const ends = [near, far].map((stream) => once(stream, "end"));
          const startMs = performance.now();
          const drained = (who === "a" ? a : b).plane.drain(1_500);
          const [toClient, toServer] = (await Promise.all(told)) as [Buffer, Buffer];
          assert.deepEqual([toClient[0], toClient.readUInt16BE(2)], [0x88, 1001]);
          const code = toServer.readUInt16BE(6) ^ toServer.readUInt16BE(2);
          assert.deepEqual([toServer[0], (toServer[1] ?? 0) & 0x80, code], [0x88, 0x80, 1001]);
          near.write(websocketFrame({ opcode: 8, payload: "\x03\xe9" }, true));
          far.write(websocketFrame({ opcode: 8, payload: "\x03\xe9" }, false));
          await Promise.all(ends);
          near.end();
          far.end();
          await drained;
          assert.ok(performance.now() - startMs < 1_500);
          for (const { facts } of [a, b]) {
            await until(() => facts.length === 1);
            assert.equal(facts[0]?.error, null);
          }
        });

        test(`ends when host ${who} no longer trusts the other one`, async (t) => {
          const { a, b, near, far } = await tunnelled(t, client, server);
          let isClosed = false;
          near.on("close", () => {
            isClosed = true;
          });
          near.on("end", () => near.end());
          far.on("end", () => far.end());
          near.resume();
          far.resume();
          const other = newAuthority();
          const identity = who === "a" ? HOST_A : WEB;
          const lab = who === "a" ? a : b;
          lab.plane.setCredentials(credentialsOf([other], [issue(other, identity)]));
          await until(() => isClosed);
          await until(() => a.facts.length === 1 && b.facts.length === 1);
        });
      }
    });
  }
}
