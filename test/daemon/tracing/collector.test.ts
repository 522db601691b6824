import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { HttpCollector, readHeaders } from "../../../daemon/tracing/collector.ts";
import { configSchema } from "../../../src/config/schema.ts";
import { generateKeys, issueLeaf, privateKeyPem } from "../../../src/identity/x509.ts";
import { newAuthority, validity } from "../../helpers/mesh-lab.ts";

const NEVER = new AbortController().signal;

async function serve(t: TestContext, answer: RequestListener): Promise<string> {
  const server = createServer(answer).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  t.after(() => server.closeAllConnections());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`;
}

function collector(t: TestContext, endpoint: string, more: object = {}): HttpCollector {
  const settings = { endpoint, ...more };
  const made = new HttpCollector(
    configSchema.parse({ telemetry: { tracing: settings } }).telemetry.tracing,
  );
  t.after(() => made.close());
  return made;
}

async function folder(t: TestContext): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), "hostmesh-tracing-"));
  t.after(() => rm(made, { recursive: true, force: true }));
  return made;
}

async function bytesOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

test("an export is a POST of JSON, zipped or not, with the headers that a file has at that moment", async (t) => {
  const seen: { headers: IncomingMessage["headers"]; text: string }[] = [];
  const url = await serve(t, async (request, response) => {
    const bytes = await bytesOf(request);
    const isZipped = request.headers["content-encoding"] === "gzip";
    const text = String(isZipped ? gunzipSync(bytes) : bytes);
    seen.push({ headers: request.headers, text: `${request.method} ${request.url} ${text}` });
    response.end("{}");
  });
  const headersFile = join(await folder(t), "headers");
  await writeFile(headersFile, "# for the collector\nAuthorization: Bearer one\n\nX-Tenant:  a \n");
  const zipped = collector(t, url, { headersFile });
  assert.deepEqual(await zipped.send('{"a":1}', NEVER), {
    kind: "taken",
    refusedSpans: 0,
    message: "",
  });
  await writeFile(headersFile, "Authorization: Bearer two");
  await zipped.send("{}", NEVER);
  await collector(t, url, { compression: "none" }).send("{}", NEVER);
  assert.deepEqual(
    seen.map(({ headers, text }) => [headers.authorization, headers["x-tenant"], text]),
    [
      ["Bearer one", "a", 'POST /v1/traces {"a":1}'],
      ["Bearer two", undefined, "POST /v1/traces {}"],
      [undefined, undefined, "POST /v1/traces {}"],
    ],
  );
  assert.ok(seen.every(({ headers }) => headers["content-type"] === "application/json"));
  await rm(headersFile);
  await assert.rejects(zipped.send("{}", NEVER), /ENOENT/);
  assert.throws(() => readHeaders("Bearer one"), /line 1 .* no header/);
  assert.throws(() => readHeaders("a: b\nc d: e"), /line 2/);
});

test("statuses say whether it is worth another try, as OTLP has it", async (t) => {
  let status = 200;
  let body = "";
  const url = await serve(t, (request, response) => {
    request.resume();
    response.writeHead(status, { "retry-after": "5", location: "/" }).end(body);
  });
  const made = collector(t, url);
  for (const [code, kind] of [
    [204, "taken"],
    [302, "refused"],
    [400, "refused"],
    [401, "refused"],
    [429, "busy"],
    [500, "refused"],
    [502, "busy"],
    [503, "busy"],
    [504, "busy"],
  ] as const) {
    status = code;
    const answer = await made.send("{}", NEVER);
    assert.equal(answer.kind, kind, `${code}`);
    if (answer.kind === "busy") assert.equal(answer.retryAfter, "5");
  }
  status = 200;
  for (const [text, refusedSpans] of [
    ['{"partialSuccess":{"rejectedSpans":"3","errorMessage":"no"}}', 3],
    ['{"partialSuccess":{"rejectedSpans":2}}', 2],
    ['{"partialSuccess":{"rejectedSpans":-1}}', 0],
    ['{"partialSuccess":null}', 0],
    ["[]", 0],
    ["no JSON", 0],
  ] as const) {
    body = text;
    const answer = await made.send("{}", NEVER);
    assert.equal(answer.kind === "taken" && answer.refusedSpans, refusedSpans, text);
  }
  body = "x".repeat(200_000);
  await assert.rejects(made.send("{}", NEVER), /size/i, "an answer without end");
});

test("a collector that is silent is left at the signal, and one that goes away is an error", async (t) => {
  const url = await serve(t, (request) => {
    if (request.headers["x-cut"] !== undefined) request.socket.destroy();
  });
  const silent = collector(t, url);
  await assert.rejects(silent.send("{}", AbortSignal.timeout(50)), /abort|timeout/i);
  const headersFile = join(await folder(t), "headers");
  await writeFile(headersFile, "x-cut: 1");
  await assert.rejects(collector(t, url, { headersFile }).send("{}", NEVER));
});

test("on https only an authority of the file is trusted, and a file that changes counts at once", async (t) => {
  const [right, wrong] = [newAuthority(), newAuthority("other")];
  const { privateKey, publicKey } = generateKeys();
  const names = { dnsNames: ["localhost"] };
  const cert = issueLeaf(right, { publicKey, names, ...validity(-60_000, 3_600_000) });
  const server = createTlsServer({ cert, key: privateKeyPem(privateKey) }, (request, response) => {
    request.resume();
    response.end("{}");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  t.after(() => server.closeAllConnections());
  const url = `https://localhost:${(server.address() as AddressInfo).port}/`;
  const caFile = join(await folder(t), "ca.pem");
  await writeFile(caFile, wrong.certificate);
  const made = collector(t, url, { caFile });
  await assert.rejects(made.send("{}", NEVER), /certificate|signature|issuer/i);
  await writeFile(caFile, right.certificate);
  assert.equal((await made.send("{}", NEVER)).kind, "taken");
});

test("an endpoint with credentials, or of another scheme, is refused before anything starts", () => {
  for (const endpoint of ["http://me:secret@collector/", "ftp://collector/", "collector:4318"]) {
    assert.throws(() => configSchema.parse({ telemetry: { tracing: { endpoint } } }), endpoint);
  }
});
