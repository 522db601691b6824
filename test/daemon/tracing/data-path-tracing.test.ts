import assert from "node:assert/strict";
import type { IncomingMessage, RequestListener } from "node:http";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { readExport, type SeenSpan } from "../../helpers/otlp.ts";
import { until } from "../../helpers/until.ts";
import { serve, tracingStage } from "./stage.ts";

const skip = process.platform !== "linux" && "shared listening sockets need Linux";
const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SAMPLED = `traceparent: 00-${TRACE}-b7ad6b7169203331-01\r\n`;

async function spansOf(request: IncomingMessage): Promise<SeenSpan[]> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return readExport(String(gunzipSync(Buffer.concat(parts))));
}

/** A collector that keeps what it gets, and answers as the test says. */
function keeping(seen: SeenSpan[], status: () => number = () => 200): RequestListener {
  return async (request, response) => {
    try {
      const spans = await spansOf(request);
      if (status() === 200) seen.push(...spans);
      response.writeHead(status(), { "retry-after": "0" }).end("{}");
    } catch (error) {
      response.writeHead(400).end(String(error));
    }
  };
}

test("spans of workers come to the collector as OTLP, and are counted", { skip }, async (t) => {
  const seen: SeenSpan[] = [];
  const port = await serve(t, keeping(seen));
  const endpoint = `http://127.0.0.1:${port}/v1/traces`;
  const { ask, metric } = await tracingStage(t, { endpoint, sampling: 0 });
  for (let at = 0; at < 5; at += 1) assert.match(await ask(SAMPLED), /^HTTP\/1\.1 200 /);
  assert.match(await ask(SAMPLED, "gone"), /^HTTP\/1\.1 50\d /);
  await until(() => seen.filter(({ kind }) => kind === "client").length === 6);
  assert.ok(seen.every(({ traceId }) => traceId === TRACE));
  assert.ok(seen.every(({ resource }) => resource["host.name"] === "node-a"));
  const nowNs = BigInt(Date.now()) * 1_000_000n;
  assert.ok(
    seen.every(({ endNs }) => nowNs - endNs < 60_000_000_000n && nowNs + 5_000_000n > endNs),
  );
  const failed = seen.filter(({ attributes }) => attributes["hostmesh.service"] === "default/gone");
  assert.ok(failed.length > 0 && failed.every((span) => span.failed));
  await until(
    async () => (await metric('hostmesh_trace_spans_total{result="exported"}')) === seen.length,
  );
  assert.equal(await metric('hostmesh_trace_spans_total{result="refused"}'), 0);
});

test("a collector that is busy gets the same spans again", { skip }, async (t) => {
  const seen: SeenSpan[] = [];
  let asked = 0;
  const status = () => (asked <= 2 ? 503 : 200);
  const answer = keeping(seen, status);
  const port = await serve(t, (request, response) => {
    asked += 1;
    answer(request, response);
  });
  const endpoint = `http://127.0.0.1:${port}/`;
  const { ask, lines, metric } = await tracingStage(t, { endpoint, sampling: 0 });
  await ask(SAMPLED);
  await until(() => seen.some(({ kind }) => kind === "client"));
  assert.equal(asked, 3);
  assert.ok(lines.some(({ message }) => message === "spans are not taken by the collector"));
  await until(
    async () => (await metric('hostmesh_trace_spans_total{result="exported"}')) === seen.length,
  );
  assert.equal(await metric('hostmesh_trace_spans_total{result="dropped"}'), 0);
});

test("a collector that never answers, or is not there, holds no request up, and what is too much is dropped", {
  skip,
}, async (t) => {
  const silent = await serve(t, (request) => void request.resume());
  for (const endpoint of [`http://127.0.0.1:${silent}/`, "http://127.0.0.1:1/"]) {
    const { ask, metric, path } = await tracingStage(t, {
      ...{ endpoint, sampling: 1, queueSpans: 8, batchSpans: 4 },
    });
    for (let at = 0; at < 20; at += 1) assert.match(await ask(SAMPLED), /^HTTP\/1\.1 200 /);
    await until(async () => (await metric('hostmesh_trace_spans_total{result="dropped"}')) > 0);
    assert.ok((await metric("hostmesh_trace_spans_waiting")) <= 8);
    const beganMs = performance.now();
    await path.drain(0, 1_000);
    assert.ok(performance.now() - beganMs < 10_000, "the end waits for the collector only so long");
  }
});

test("a drain sends the last spans, however long they would have waited", { skip }, async (t) => {
  const seen: SeenSpan[] = [];
  const port = await serve(t, keeping(seen));
  const endpoint = `http://127.0.0.1:${port}/`;
  const { ask, path } = await tracingStage(t, { endpoint, sampling: 0, intervalMs: 600_000 });
  await ask(SAMPLED);
  assert.equal(seen.length, 0);
  await path.drain(0, 5_000);
  assert.equal(seen.filter(({ kind }) => kind === "client").length, 1);
});
