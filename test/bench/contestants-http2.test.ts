import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { haproxyConfig } from "../../bench/contestants/haproxy-config.ts";
import { nginxConfig } from "../../bench/contestants/nginx-config.ts";
import type { ProxyPlan, Wire } from "../../bench/contestants/relay.ts";
import { startUpstream } from "../../bench/upstream/start-upstream.ts";
import { OTHER_PEERS, openFieldLab } from "./field-lab.ts";

const onLinux = { skip: process.platform === "linux" ? false : "needs /proc" };

const planOf = (accepts: Wire, dials: Wire): ProxyPlan => ({
  ...{ role: "host proxy", place: { host: "a", netns: null, address: "127.0.0.1" } },
  relays: [
    {
      ...{ name: "services", listen: { host: "127.0.0.1", port: 20_000 }, accepts, dials },
      routes: [{ authority: "web-0", to: { host: "127.0.0.1", port: 21_000 } }],
    },
  ],
  ...{ workers: 1, connections: 64, scratch: "/tmp/scratch" },
  credentials: { certificate: "/c", key: "/k", authority: "/a" },
});

test("each side of HAProxy speaks HTTP/2 by prior knowledge, and with TLS by ALPN", () => {
  const plain = haproxyConfig(planOf("http2", "grpc"));
  assert.match(plain, /bind 127\.0\.0\.1:20000 proto h2$/m);
  assert.match(plain, /server web-0 127\.0\.0\.1:21000 pool-max-conn -1 proto h2$/m);
  const secure = haproxyConfig(planOf("tls-grpc", "tls-http2"));
  assert.match(secure, /bind .* alpn h2$/m);
  assert.match(secure, /server .* alpn h2$/m);
  assert.doesNotMatch(secure, /proto h2/);
});

test("nginx passes gRPC on as gRPC, and other requests of HTTP/2 as HTTP/1.1", () => {
  const grpc = nginxConfig(planOf("grpc", "tls-grpc"), null);
  assert.match(grpc, /listen 127\.0\.0\.1:20000 http2 /);
  assert.match(grpc, /grpc_pass grpcs:\/\/services-web-0;/);
  assert.match(grpc, /grpc_ssl_verify on;/);
  assert.match(grpc, /grpc_set_header Via /);
  const http = nginxConfig(planOf("http2", "http1"), null);
  assert.match(http, /proxy_pass http:\/\/services-web-0;/);
  assert.doesNotMatch(http, /grpc/);
});

/** Starting them all takes long, so each way is tried with one protocol, and the pairs with calls that take turns. */
const WAYS = [
  ["http2", "host", "alone", { call: "unary", messages: 1 }],
  ["grpc", "sidecar", "in pairs", { call: "bidi", messages: 3 }],
] as const;

for (const [protocol, way, words, shape] of WAYS) {
  test(`every contestant carries ${protocol} to all services, ${words}`, onLinux, async (t) => {
    const lab = await openFieldLab(t, "same-host");
    const { services } = await startUpstream(lab.bench, lab.site, { services: 2 });
    // Each has delivered a whole body of every service, by a client that is not ours.
    const { contestants, missing } = await lab.start({
      ...{ modes: ["direct", way], peers: ["hostmesh", ...OTHER_PEERS] },
      ...{ protocol, shape, tls: false, upstreams: services },
    });
    for (const { name, reason } of missing) assert.match(reason, /is not installed/, name);
    const absent = new Set(missing.map(({ name }) => name));
    for (const peer of ["hostmesh", ...OTHER_PEERS].filter((one) => !absent.has(one))) {
      const theirs = contestants.filter((one) => one.peer === peer);
      assert.deepEqual(
        theirs.map(({ mode }) => mode),
        [way],
      );
      const translates = peer === "nginx" && protocol === "http2";
      for (const { name } of theirs) {
        assert.equal(name.endsWith(", h1 to servers"), translates, name);
      }
    }
  });
}

test(
  "for HTTP/2 HAProxy's pair is measured in both forms, for gRPC in the one there is",
  onLinux,
  async (t) => {
    const lab = await openFieldLab(t, "same-host");
    const { services } = await startUpstream(lab.bench, lab.site, { services: 1 });
    const given = {
      modes: ["sidecar"],
      peers: ["haproxy"],
      tls: true,
      upstreams: services,
    } as const;
    const http2 = await lab.start({ ...given, protocol: "http2" });
    if (http2.missing.length > 0) return t.skip(http2.missing[0]?.reason);
    assert.deepEqual(
      http2.contestants.map(({ name, between }) => [name, between]),
      [
        ["haproxy pair, mTLS h1", "mtls-http1"],
        ["haproxy pair, mTLS h2", "mtls-http2"],
      ],
    );
    for (const { configFiles, between } of http2.contestants) {
      const file = configFiles.find((path) => path.endsWith("client-sidecar.cfg")) ?? "";
      const text = await readFile(file, "utf8");
      assert.match(text, /bind \S+ proto h2$/m);
      const alpn = between === "mtls-http1" ? "http/1.1" : "h2";
      assert.ok(new RegExp(`server .* alpn ${alpn}$`, "m").test(text), text);
    }
    const grpc = await lab.start({ ...given, protocol: "grpc" });
    assert.deepEqual(
      grpc.contestants.map(({ name }) => name),
      ["haproxy pair, mTLS h2"],
    );
    assert.match(grpc.missing[0]?.reason ?? "", /over HTTP\/2 only/);
  },
);
