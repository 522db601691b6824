import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { status as grpcCode } from "@grpc/grpc-js";
import type { ConfigInput } from "../../src/config/schema.ts";
import type { DataService } from "../../src/core/snapshot.ts";
import { grpcLab } from "../helpers/grpc-lab.ts";
import { type SeenSpan, SpanProbe } from "../helpers/otlp.ts";
import { endpoint, type LabOptions, planeLab, service, workload } from "../helpers/plane.ts";
import { answering, RawClient, rawServer } from "../helpers/raw.ts";
import { everything, table } from "../helpers/route-lab.ts";
import { until } from "../helpers/until.ts";

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const FAILED = "HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno";
const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";
const CALLER = {
  ...workload(1, "shop-7f9", "127.0.0.1"),
  labels: { app: "shop", version: "v2" },
  uid: "a-uid",
};
type Telemetry = NonNullable<ConfigInput["telemetry"]>;
type Tracing = NonNullable<Telemetry["tracing"]>;

interface Asked {
  /** What the endpoint received. */
  readonly sent: string;
  readonly got: string;
  readonly spans: readonly SeenSpan[];
}

interface Stage {
  ask(lines?: string, path?: string): Promise<Asked>;
  readonly probe: SpanProbe;
}

/** A caller and the service `web`; the spans of a request are there when its answer is. */
async function stage(
  t: TestContext,
  tracing: Tracing & { readonly recorded?: false } = {},
  more: {
    readonly answer?: string;
    readonly local?: boolean;
    readonly options?: LabOptions;
    readonly web?: Partial<DataService>;
  } = {},
): Promise<Stage> {
  const upstream = await rawServer(answering(more.answer ?? OK));
  const probe = new SpanProbe();
  const { recorded = true, ...settings } = tracing;
  const lab = await planeLab({
    workloads: [CALLER],
    ...more.options,
    config: { telemetry: { tracing: settings } },
    ...(recorded ? { spans: probe } : {}),
  });
  const place = endpoint(upstream.port, { local: more.local ?? false });
  lab.services({ ...service("web", [place]), ...more.web });
  t.after(async () => {
    await lab.close();
    await upstream.close();
  });
  const ask = async (lines = "", path = "/a?secret=1"): Promise<Asked> => {
    const [before, ended] = [probe.spans.length, lab.facts.length];
    const bytes = upstream.received.join("").length;
    const client = await RawClient.open(lab.port);
    client.send(`GET ${path} HTTP/1.1\r\nHost: web:8080\r\n${lines}\r\n`);
    await until(() => lab.facts.length > ended);
    await client.until(/\r\n\r\n/);
    client.close();
    const sent = upstream.received.join("").slice(bytes);
    return { sent, got: client.received, spans: probe.spans.slice(before) };
  };
  return { ask, probe };
}

function field(sent: string, name: string): string {
  return new RegExp(`^${name}: (.*)\r$`, "im").exec(sent)?.[1] ?? "";
}

function only(spans: readonly SeenSpan[], kind: SeenSpan["kind"]): SeenSpan {
  const found = spans.filter((one) => one.kind === kind);
  assert.equal(found.length, 1, `${found.length} ${kind} spans`);
  return found[0]!;
}

describe("spans of a request", () => {
  it("are one of a client where the endpoint is on another host, whose parent is the caller's span", async (t) => {
    const { ask } = await stage(t);
    const { sent, spans } = await ask(
      `traceparent: 00-${TRACE}-${SPAN}-01\r\ntracestate: a=1,b=2\r\n`,
    );
    assert.equal(spans.length, 1);
    const span = only(spans, "client");
    assert.deepEqual([span.traceId, span.parent, span.name], [TRACE, SPAN, "GET"]);
    assert.equal(field(sent, "traceparent"), `00-${TRACE}-${span.spanId}-01`);
    assert.equal(field(sent, "tracestate"), "a=1,b=2");
    assert.equal(span.traceState, "a=1,b=2");
    assert.equal(span.flags, 0x301, "sampled, and the parent is remote");
    const { "network.peer.port": port, "hostmesh.proxy_us": proxyUs, ...rest } = span.attributes;
    assert.ok(Number(port) > 0 && Number(proxyUs) >= 0);
    assert.deepEqual(rest, {
      "http.request.method": "GET",
      "http.response.status_code": 200,
      "url.scheme": "http",
      "server.address": "web",
      "server.port": 8080,
      "network.protocol.version": "1.1",
      "url.full": "http://web:8080/a",
      "network.peer.address": "127.0.0.1",
      "hostmesh.entry": "explicit",
      "hostmesh.request_id": field(sent, "x-request-id"),
      "hostmesh.service": "default/web",
      "hostmesh.route": rest["hostmesh.route"],
      "hostmesh.security": rest["hostmesh.security"],
      "hostmesh.endpoint": rest["hostmesh.endpoint"],
      "hostmesh.queue_us": rest["hostmesh.queue_us"],
    });
    assert.deepEqual(span.resource, {
      "service.name": "shop",
      "service.namespace": "default",
      "service.instance.id": "a-uid",
      "service.version": "v2",
    });
  });

  it("are one of a client and one of a server below it where both ends are on this host", async (t) => {
    const { ask } = await stage(t, { sampling: 1 }, { local: true });
    const { sent, spans } = await ask("User-Agent: caf\xc3\xa9\r\n");
    assert.equal(spans.length, 2);
    const [client, server] = [only(spans, "client"), only(spans, "server")];
    assert.deepEqual([client.parent, server.parent], ["", client.spanId]);
    assert.equal(server.traceId, client.traceId);
    assert.equal(field(sent, "traceparent"), `00-${client.traceId}-${server.spanId}-03`);
    assert.equal(server.flags, 0x103, "its parent is known to be ours");
    assert.ok(server.startNs >= client.startNs && server.endNs <= client.endNs);
    assert.equal(server.attributes["url.path"], "/a");
    assert.equal(server.attributes["client.address"], "127.0.0.1");
    assert.equal(server.attributes["user_agent.original"], "café");
    // The workload at its address, by which both are told.
    assert.equal(server.resource["service.name"], "shop");
  });

  it("tell a query and credentials to nobody", async (t) => {
    const { ask } = await stage(t, { sampling: 1 }, { local: true });
    const { spans } = await ask("Authorization: Bearer secret\r\nCookie: secret\r\n", "/x?secret");
    assert.doesNotMatch(
      JSON.stringify(spans, (_, value) => (typeof value === "bigint" ? "" : value)),
      /secret/,
    );
  });

  it("name the path of the rule by which a request went, and not the path itself", async (t) => {
    const rule = {
      ...everything({}),
      matches: [{ path: { kind: "segments", value: "/a" } }],
    } as const;
    const web = { routes: [table([rule])], routeStamp: "1" };
    const { ask } = await stage(t, { sampling: 1 }, { local: true, web });
    const { spans } = await ask("", "/a/7");
    assert.deepEqual(
      spans.map(({ name }) => name),
      ["GET /a/*", "GET /a/*"],
    );
    assert.equal(only(spans, "client").attributes["url.template"], "/a/*");
    assert.equal(only(spans, "server").attributes["http.route"], "/a/*");
  });

  it("fail for a client by 4xx, and for a server only by 5xx", async (t) => {
    const answer = (status: string) => `HTTP/1.1 ${status}\r\nContent-Length: 0\r\n\r\n`;
    for (const [status, failed] of [
      ["404 Not Found", [true, false]],
      ["500 Oops", [true, true]],
      ["302 Found", [false, false]],
    ] as const) {
      const { ask } = await stage(t, { sampling: 1 }, { local: true, answer: answer(status) });
      const { spans } = await ask();
      const [client, server] = [only(spans, "client"), only(spans, "server")];
      assert.deepEqual([client.failed, server.failed], failed, status);
      const type = failed[0] ? status.slice(0, 3) : undefined;
      assert.equal(client.attributes["error.type"], type);
    }
  });

  it("fail with the code of the mesh where that made the answer", async (t) => {
    const { ask } = await stage(t, { sampling: 1 }, { web: { endpoints: [] } });
    const { spans, got } = await ask();
    const span = only(spans, "client");
    const code = field(got, "x-hostmesh-error");
    assert.notEqual(code, "");
    assert.deepEqual([span.failed, span.message], [true, code]);
    assert.equal(span.attributes["error.type"], code);
  });

  it("show each try: events of the client's, and a server's for each one on this host", async (t) => {
    const servers = [
      await rawServer((socket) => socket.resetAndDestroy()),
      await rawServer(answering(OK)),
    ];
    const probe = new SpanProbe();
    const lab = await planeLab({
      config: { telemetry: { tracing: { sampling: 1 } } },
      spans: probe,
    });
    const places = servers.map(({ port }) => endpoint(port));
    lab.services(service("web", places));
    t.after(async () => {
      await lab.close();
      for (const one of servers) await one.close();
    });
    const client = await RawClient.open(lab.port);
    for (let at = 0; at < 2; at += 1) client.send("GET / HTTP/1.1\r\nHost: web\r\n\r\n");
    await client.until(/ok[^]*ok$/);
    client.close();
    const retried = probe.spans.find(({ events }) => events.length > 0);
    assert.equal(retried?.attributes["http.request.resend_count"], 1);
    const [event] = retried?.events ?? [];
    assert.equal(event?.["name"], "hostmesh.try_failed");
    assert.equal(event?.["network.peer.port"], servers[0]?.port);
    assert.match(String(event?.["error.type"]), /^UPSTREAM_/);
    assert.equal(retried?.failed, false, "the last try went well");
    const tries = probe.spans.filter(({ parent }) => parent === retried?.spanId);
    assert.deepEqual(
      tries.map(({ failed }) => failed),
      [true, false],
    );
  });

  it("of a call of gRPC follow the conventions of RPC", async (t) => {
    const probe = new SpanProbe();
    const config = { telemetry: { tracing: { sampling: 1 } } };
    const { client, lab } = await grpcLab(
      t,
      [{ unary: (_, done) => done({ code: grpcCode.NOT_FOUND, details: "none" }) }],
      { protocol: "grpc", spans: probe, config },
    );
    await client.unary(Buffer.from("x"));
    await until(() => lab.facts.length === 1);
    const [called, served] = [only(probe.spans, "client"), only(probe.spans, "server")];
    const method = String(called.attributes["rpc.method"]);
    assert.match(method, /^[\w.]+\/\w+$/);
    assert.deepEqual([called.name, served.name], [method, method]);
    assert.equal(called.attributes["rpc.system.name"], "grpc");
    assert.equal(called.attributes["rpc.response.status_code"], "NOT_FOUND");
    assert.equal(called.attributes["network.protocol.version"], "2");
    assert.deepEqual([called.failed, served.failed], [true, false]);
  });
});

describe("sampling", () => {
  it("follows the parent's decision, whatever the rate", async (t) => {
    for (const sampling of [0, 1]) {
      const { ask } = await stage(t, { sampling });
      const unsampled = await ask(`traceparent: 00-${TRACE}-${SPAN}-00\r\n`);
      assert.equal(unsampled.spans.length, 0);
      assert.match(
        field(unsampled.sent, "traceparent"),
        new RegExp(`^00-${TRACE}-[0-9a-f]{16}-00$`),
      );
      assert.equal((await ask(`traceparent: 00-${TRACE}-${SPAN}-01\r\n`)).spans.length, 1);
    }
  });

  it("takes its share of the traces that begin here, and marks them for those behind", async (t) => {
    const { ask } = await stage(t, { sampling: 0.5 });
    let recorded = 0;
    for (let at = 0; at < 60; at += 1) {
      const { sent, spans } = await ask();
      assert.equal(field(sent, "traceparent").endsWith("-03"), spans.length === 1);
      recorded += spans.length;
    }
    assert.ok(recorded > 5 && recorded < 55, `${recorded} of 60`);
  });

  it("records a failure that nobody sampled if that is asked for, with the ids that were sent on", async (t) => {
    const quiet = await stage(t, { sampling: 0 }, { answer: FAILED });
    assert.equal((await quiet.ask()).spans.length, 0);
    const { ask } = await stage(t, { sampling: 0, errors: "on" }, { answer: FAILED });
    const { sent, spans } = await ask(`traceparent: 00-${TRACE}-${SPAN}-00\r\n`);
    const span = only(spans, "client");
    assert.equal(field(sent, "traceparent"), `00-${TRACE}-${span.spanId}-00`);
    assert.deepEqual([span.parent, span.failed], [SPAN, true]);
    const fine = await stage(t, { sampling: 0, errors: "on" });
    assert.equal((await fine.ask()).spans.length, 0);
  });
});

describe("the context of a trace", () => {
  it("stays the caller's where no spans are recorded, so that its trace has no holes", async (t) => {
    const { ask } = await stage(t, { recorded: false });
    const header = `00-${TRACE}-${SPAN}-01`;
    assert.equal(field((await ask(`traceparent: ${header}\r\n`)).sent, "traceparent"), header);
    const b3 = `${TRACE}-${SPAN}-1-00000000000000ff`;
    const { sent } = await ask(`b3: ${b3}\r\nX-B3-Flags: junk\r\n`);
    assert.equal(field(sent, "traceparent"), header);
    assert.equal(field(sent, "b3"), b3);
    assert.equal(field(sent, "x-b3-flags"), "junk");
  });

  it("is read from b3 and from X-B3-..., and goes on in that form and as traceparent", async (t) => {
    const { ask } = await stage(t);
    const single = await ask(`b3: ${TRACE}-${SPAN}-1\r\n`);
    const { spanId, parent } = only(single.spans, "client");
    assert.equal(parent, SPAN);
    assert.equal(field(single.sent, "b3"), `${TRACE}-${spanId}-1`);
    assert.equal(field(single.sent, "traceparent"), `00-${TRACE}-${spanId}-01`);
    assert.doesNotMatch(single.sent, /x-b3-/i);
    const short = TRACE.slice(16);
    const multi = await ask(
      `X-B3-TraceId: ${short}\r\nX-B3-SpanId: ${SPAN}\r\nX-B3-ParentSpanId: ${SPAN}\r\nX-B3-Sampled: 1\r\n`,
    );
    const span = only(multi.spans, "client");
    assert.equal(span.traceId, short.padStart(32, "0"));
    assert.equal(field(multi.sent, "x-b3-traceid"), short);
    assert.equal(field(multi.sent, "x-b3-spanid"), span.spanId);
    assert.equal(field(multi.sent, "x-b3-sampled"), "1");
    assert.equal(field(multi.sent, "x-b3-parentspanid"), "");
    assert.doesNotMatch(multi.sent, /^b3:/im);
  });

  it("is written in the forms that the operator wants", async (t) => {
    const { ask } = await stage(t, { sampling: 1, propagation: ["b3", "b3multi"] });
    const { sent, spans } = await ask();
    const { traceId, spanId } = only(spans, "client");
    assert.equal(field(sent, "b3"), `${traceId}-${spanId}-1`);
    assert.equal(field(sent, "x-b3-traceid"), traceId);
    assert.equal(field(sent, "traceparent"), "");
    assert.match(field(sent, "x-request-id"), /^[0-9a-f-]{36}$/);
    const off = await stage(t, { sampling: 0, propagation: ["b3"] });
    assert.match(field((await off.ask()).sent, "b3"), /-0$/);
  });

  it("keeps B3's debug flag and its decisions without ids", async (t) => {
    const { ask } = await stage(t, { sampling: 0 });
    const debug = await ask(`X-B3-TraceId: ${TRACE}\r\nX-B3-SpanId: ${SPAN}\r\nX-B3-Flags: 1\r\n`);
    assert.equal(debug.spans.length, 1);
    assert.equal(field(debug.sent, "x-b3-flags"), "1");
    assert.match(field((await ask("b3: d\r\n")).sent, "b3"), /^[0-9a-f]{32}-[0-9a-f]{16}-d$/);
    const { ask: always } = await stage(t, { sampling: 1 });
    const denied = await always("b3: 0\r\n");
    assert.equal(denied.spans.length, 0);
    assert.match(field(denied.sent, "traceparent"), /-02$/);
  });

  it("begins anew where what came is hostile, and baggage goes on untouched", async (t) => {
    const { ask } = await stage(t, { sampling: 1 });
    const hostile = [
      `b3: ${"a".repeat(20_000)}\r\n`,
      `b3: ${TRACE}-${SPAN}-1\r\nb3: ${TRACE}-${SPAN}-1\r\n`,
      `b3: ${"0".repeat(32)}-${SPAN}-1\r\n`,
      `X-B3-TraceId: ${TRACE}\r\nX-B3-SpanId: \xff\xfe\r\n`,
      `X-B3-SpanId: ${SPAN}\r\n`,
      `traceparent: 00-${TRACE}-${"0".repeat(16)}-01\r\ntracestate: ${"x".repeat(30_000)}\r\n`,
      `traceparent: junk\r\n${"X-B3-Flags: 1\r\n".repeat(60)}`,
    ];
    for (const lines of hostile) {
      const { sent, spans } = await ask(`${lines}baggage: a=1;p,b=%20\r\n`);
      const span = only(spans, "client");
      assert.notEqual(span.traceId, TRACE);
      assert.deepEqual([span.parent, span.traceState], ["", ""]);
      assert.equal(field(sent, "baggage"), "a=1;p,b=%20");
      assert.equal(field(sent, "traceparent"), `00-${span.traceId}-${span.spanId}-03`);
      assert.equal(field(sent, "tracestate"), "");
    }
    const valid = `traceparent: 00-${TRACE}-${SPAN}-01\r\ntracestate: ${"x=1,".repeat(200)}y=2\r\n`;
    assert.equal(only((await ask(valid)).spans, "client").traceState, "", "too long to be kept");
  });
});
