import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createSecureServer, createServer, type Http2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { Server, ServerCredentials, type sendUnaryData, status } from "@grpc/grpc-js";
import forge from "node-forge";
import { probeGrpc } from "../../src/registry/grpc-probe.ts";
import type { GrpcSpec } from "../../src/registry/records.ts";
import { call, dig, testRegistry } from "./setup.ts";

const spec = (port: number, more: Partial<GrpcSpec> = {}): GrpcSpec => ({
  ...{ kind: "grpc", address: "127.0.0.1", port, service: "" },
  ...{ tls: false, tlsSkipVerify: false, tlsServerName: "" },
  ...{ intervalMs: 10_000, timeoutMs: 5_000, successBeforePassing: 1 },
  ...{ failuresBeforeWarning: 1, failuresBeforeCritical: 1 },
  ...more,
});
const probe = (port: number, more: Partial<GrpcSpec> = {}) =>
  probeGrpc(spec(port, more), new AbortController().signal);

/** A server of grpc-js with its health service, whose messages are read and written here. */
async function healthServer(t: TestContext, statuses: Readonly<Record<string, number>>) {
  const server = new Server();
  const same = (bytes: Buffer): Buffer => bytes;
  const codec = {
    ...{ requestSerialize: same, requestDeserialize: same },
    ...{ responseSerialize: same, responseDeserialize: same },
  };
  const path = "/grpc.health.v1.Health/Check";
  const method = { path, requestStream: false, responseStream: false, ...codec };
  server.addService({ check: method } as never, {
    check({ request }: { request: Buffer }, done: sendUnaryData<Buffer>) {
      const name = request.length === 0 ? "" : request.toString("utf8", 2, 2 + request[1]!);
      const found = statuses[name];
      if (found === undefined) done({ code: status.NOT_FOUND, details: "unknown service" });
      else done(null, Buffer.from(found === 0 ? [] : [8, found]));
    },
  });
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
    error === null ? resolve(port) : reject(error),
  );
  t.after(() => server.forceShutdown());
  return promise;
}

test("a server of gRPC is asked for its health, as a whole or of one service", async (t) => {
  const statuses = { "": 1, "a.Serving": 1, "a.Down": 2, "a.Unknown": 0, "a.Odd": 9 };
  const port = await healthServer(t, statuses);
  const found = async (service: string) => {
    const { status: health, output } = await probe(port, { service });
    return [health, output.slice(output.indexOf(": ") + 2)];
  };
  assert.deepEqual(await found(""), ["passing", "SERVING"]);
  assert.deepEqual(await found("a.Serving"), ["passing", "SERVING"]);
  assert.deepEqual(await found("a.Down"), ["critical", "NOT_SERVING"]);
  assert.deepEqual(await found("a.Unknown"), ["critical", "UNKNOWN"]);
  assert.deepEqual(await found("a.Odd"), ["critical", "status 9"]);
  assert.deepEqual(await found("a.Nobody"), ["critical", "gRPC status 5"]);
  const { output } = await probe(port, { service: "a.Down" });
  assert.equal(output, `gRPC check 127.0.0.1:${port}/a.Down: NOT_SERVING`);
});

async function answering(t: TestContext, listener: Parameters<Http2Server["on"]>[1]) {
  const server = createServer().on("stream", listener as never);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => void server.close());
  return (server.address() as AddressInfo).port;
}

test("what is no answer of health is critical, and never throws", async (t) => {
  const ok = { ":status": 200, "content-type": "application/grpc", "grpc-status": "0" };
  const cases: readonly [head: object, body: Buffer, output: RegExp][] = [
    [{ ":status": 503 }, Buffer.alloc(0), /HTTP status 503/],
    [{ ":status": 200 }, Buffer.from([0, 0, 0, 0, 2, 8, 1]), /gRPC status undefined/],
    [ok, Buffer.alloc(0), /no message of gRPC/],
    [ok, Buffer.from([0, 0, 0, 0, 9, 8, 1]), /no message of gRPC/],
    [ok, Buffer.from([1, 0, 0, 0, 2, 8, 1]), /no message of gRPC/],
    [ok, Buffer.from([0, 0, 0, 0, 2, 16, 1]), /no HealthCheckResponse/],
    [ok, Buffer.alloc(100_000), /too long/],
  ];
  for (const [head, body, output] of cases) {
    const port = await answering(
      t,
      (stream: {
        respond(head: object): void;
        end(body: Buffer): void;
        on(event: string, listener: () => void): void;
      }) => {
        stream.on("error", () => undefined);
        stream.respond(head);
        stream.end(body);
      },
    );
    const found = await probe(port);
    assert.equal(found.status, "critical");
    assert.match(found.output, output);
  }
});

test("nobody there, and nobody who answers in time, are critical", async (t) => {
  const refused = await probe(1);
  assert.equal(refused.status, "critical");
  assert.match(refused.output, /^gRPC check 127\.0\.0\.1:1: .*ECONNREFUSED/);
  const silent = await answering(t, () => undefined);
  const late = await probe(silent, { timeoutMs: 100 });
  assert.deepEqual([late.status, late.output.split(": ")[1]], ["critical", "no answer in 100 ms"]);
});

/** A certificate for `name` that only it vouches for. */
function selfSigned(name: string): { key: string; cert: string } {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", {
    modulusLength: 2_048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(publicKey);
  certificate.serialNumber = "01";
  certificate.validity.notBefore = new Date(Date.now() - 60_000);
  certificate.validity.notAfter = new Date(Date.now() + 3_600_000);
  const names = [{ name: "commonName", value: name }];
  certificate.setSubject(names);
  certificate.setIssuer(names);
  certificate.setExtensions([{ name: "subjectAltName", altNames: [{ type: 2, value: name }] }]);
  certificate.sign(forge.pki.privateKeyFromPem(privateKey), forge.md.sha256.create());
  return { key: privateKey, cert: forge.pki.certificateToPem(certificate) };
}

test("over TLS a server is asked whose certificate holds, unless it need not", async (t) => {
  const server = createSecureServer(selfSigned("health.test"));
  server.on("stream", (stream) => {
    const head = { "content-type": "application/grpc", "grpc-status": "0" };
    stream.respond({ ":status": 200, ...head });
    stream.end(Buffer.from([0, 0, 0, 0, 2, 8, 1]));
  });
  server.on("sessionError", () => undefined);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const trusting = { tls: true, tlsSkipVerify: true, tlsServerName: "health.test" };
  assert.equal((await probe(port, trusting)).output.split(": ")[1], "SERVING");
  const wary = await probe(port, { tls: true });
  assert.equal(wary.status, "critical");
  assert.match(wary.output, /certificate/);
});

test("registrations name it, Consul's and our own", async (t) => {
  const registry = await testRegistry(t);
  const Check = { GRPC: "127.0.0.1:9/a.Service", GRPCUseTLS: true, Interval: "10s" };
  const body = { Name: "web", ID: "web-1", Port: 80, Check };
  const { status: code } = await call(registry, "PUT", "/v1/agent/service/register", body);
  assert.equal(code, 200);
  const endpoint = { service: "web", address: "10.0.0.1", port: 80 };
  const checks = [{ grpc: "[::1]:9" }];
  const own = { ...endpoint, checks };
  assert.equal((await call(registry, "PUT", "/v1/mesh/endpoints/h1/web-2", own)).status, 200);
  const bad = { ...endpoint, checks: [{ grpc: "[::1]/x" }] };
  assert.equal((await call(registry, "PUT", "/v1/mesh/endpoints/h1/web-3", bad)).status, 400);
  const { body: all } = await call(registry, "GET", "/v1/agent/checks");
  for (const id of ["web-1", "web-2"]) {
    assert.equal(dig(dig(all, `service:${id}`), "Type"), "grpc", id);
  }
});
