import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { freePort } from "../../daemon/free-port.ts";
import { tracingStage } from "../daemon/tracing/stage.ts";
import { until } from "../helpers/until.ts";
import { collectorProgram, collectorSkipReason } from "./program.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const PARENT = "b7ad6b7169203331";

interface Running {
  readonly url: string;
  /** What it has printed so far: in detail, what it has understood. */
  readonly said: () => string;
}

async function collector(t: TestContext): Promise<Running> {
  const port = await freePort("127.0.0.1", 0);
  const config = {
    receivers: { otlp: { protocols: { http: { endpoint: `127.0.0.1:${port}` } } } },
    exporters: { debug: { verbosity: "detailed" } },
    service: {
      telemetry: { metrics: { level: "none" } },
      pipelines: { traces: { receivers: ["otlp"], exporters: ["debug"] } },
    },
  };
  const args = ["--config", `yaml:${JSON.stringify(config)}`];
  const child: ChildProcess = spawn(collectorProgram(), args, {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (part: Buffer) => {
      text += String(part);
    });
  }
  t.after(async () => {
    if (child.exitCode === null) {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
  });
  await until(() => text.includes("Everything is ready"), { what: "the collector" });
  return { url: `http://127.0.0.1:${port}/v1/traces`, said: () => text };
}

test("OpenTelemetry's own collector understands every field of our spans", {
  skip: collectorSkipReason(),
}, async (t) => {
  const { url, said } = await collector(t);
  const { ask, metric } = await tracingStage(t, { endpoint: url, sampling: 0 });
  const context = `traceparent: 00-${TRACE}-${PARENT}-01\r\ntracestate: a=1\r\n`;
  await ask(context);
  await ask(context, "gone");
  await until(() => /-> hostmesh.service: Str\(default\/gone\)/.test(said()), {
    what: said(),
  });
  await until(async () => (await metric('hostmesh_trace_spans_total{result="exported"}')) >= 2);
  const text = said();
  for (const line of [
    /-> host\.name: Str\(node-a\)/,
    /-> service\.name: Str\(/,
    /InstrumentationScope hostmesh \d/,
    new RegExp(`Trace ID +: ${TRACE}`),
    new RegExp(`Parent ID +: ${PARENT}`),
    /ID +: [0-9a-f]{16}\n/,
    /Name +: GET\n/,
    /Kind +: Client/,
    /TraceState +: a=1/,
    /Start time +: 20\d\d-/,
    /Status code +: Error/,
    /Status message +: [A-Z_]+\n/,
    /-> http\.response\.status_code: Int\(200\)/,
    /-> url\.full: Str\(http:\/\/web\/a\)/,
    /-> hostmesh\.proxy_us: Int\(/,
  ]) {
    assert.match(text, line);
  }
  assert.equal(await metric('hostmesh_trace_spans_total{result="refused"}'), 0);
  assert.equal(await metric('hostmesh_trace_spans_total{result="dropped"}'), 0);
});
