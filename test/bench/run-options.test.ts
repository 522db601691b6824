import assert from "node:assert/strict";
import { test } from "node:test";
import { UsageError } from "../../bench/lib/bench-error.ts";
import { chooseBaseline } from "../../bench/run/baseline.ts";
import { workloadsOf } from "../../bench/run/calls.ts";
import { type BenchFlags, readOptions } from "../../bench/run/options.ts";
import { contestant } from "./run-lab.ts";

test("sizes, rates and durations are read with their units", () => {
  const options = readOptions({ body: "0,1k,10K,1m", rate: "max,2000", duration: "500ms" });
  assert.deepEqual(options.bodies, [0, 1_024, 10_240, 1_048_576]);
  assert.deepEqual(options.rates, [null, 2_000]);
  assert.equal(options.seconds, 0.5);
  assert.equal(readOptions({ duration: "1m" }).seconds, 60);
});

test("without flags everything is compared, with answers of 115 bytes as fast as they come", () => {
  const options = readOptions({});
  assert.deepEqual(options.modes, ["direct", "host", "sidecar"]);
  assert.deepEqual(options.peers, ["hostmesh", "nginx", "haproxy", "envoy"]);
  assert.deepEqual([options.bodies, options.rates, options.calls], [[115], [null], true]);
});

test("--quick gives way to what is said explicitly", () => {
  const quick = readOptions({ quick: true });
  assert.ok(quick.seconds < readOptions({}).seconds && quick.repeat < readOptions({}).repeat);
  const mixed = readOptions({ quick: true, duration: "3s" });
  assert.deepEqual([mixed.seconds, mixed.repeat], [3, quick.repeat]);
});

test("--idle and --scale stand for themselves, unless calls are asked for too", () => {
  assert.deepEqual(
    [{ idle: "5" }, { scale: true }, { idle: "5", calls: true }].map((flags) => {
      const { calls, idle, scale } = readOptions(flags);
      return [calls, idle, scale];
    }),
    [
      [false, 5, false],
      [false, null, true],
      [true, 5, false],
    ],
  );
});

test("a value that occurs twice is measured once, each body with each rate", () => {
  const options = readOptions({ body: "115,1k,115", rate: "max,max,8000", modes: "host,host" });
  assert.deepEqual(options.modes, ["host"]);
  assert.deepEqual(
    workloadsOf(options).map(({ bodyBytes, rate }) => [bodyBytes, rate]),
    [
      [115, null],
      [115, 8_000],
      [1_024, null],
      [1_024, 8_000],
    ],
  );
});

test("HTTP/2 and gRPC have as many requests at a time as the others, on fewer connections", () => {
  for (const protocol of ["http2", "grpc"]) {
    const { connections, streams } = readOptions({ protocol });
    assert.deepEqual([connections, streams], [8, 8]);
    const [workload] = workloadsOf(readOptions({ protocol, connections: "3", streams: "20" }));
    assert.deepEqual([workload?.connections, workload?.streams], [3, 20]);
  }
  assert.deepEqual([readOptions({}).connections, readOptions({}).streams], [64, 1]);
});

test("calls of gRPC that stream have ten messages, or as many as is said", () => {
  const of = (flags: BenchFlags) => {
    const [workload] = workloadsOf(readOptions({ protocol: "grpc", ...flags }));
    return [workload?.call, workload?.messages];
  };
  assert.deepEqual(of({}), ["unary", 1]);
  assert.deepEqual(of({ grpcCall: "server" }), ["server", 10]);
  assert.deepEqual(of({ grpcCall: "bidi", messages: "3" }), ["bidi", 3]);
});

const REFUSED: readonly (readonly [BenchFlags, RegExp])[] = [
  [{ modes: "direct,both" }, /--modes knows direct, host, sidecar; not "both"/],
  [{ modes: "" }, /--modes/],
  [{ peers: "traefik" }, /--peers knows hostmesh, nginx, haproxy, envoy/],
  [{ topology: "moon" }, /--topology/],
  [{ streams: "2" }, /a connection of http1 carries one request at a time; http2 and grpc/],
  [{ protocol: "tcp", streams: "2" }, /a connection of tcp carries one request at a time/],
  [{ protocol: "grpc", streams: "101" }, /--streams takes a whole number from 1 to 100/],
  [{ protocol: "quic" }, /--protocol knows/],
  [{ tls: "maybe" }, /--tls knows on, off, both/],
  [{ services: "0" }, /--services takes a whole number from 1 to/],
  [{ services: "51", connections: "64" }, /--services is at most 50; with --modes direct,host/],
  [{ services: "20", connections: "10" }, /10 connections cannot call 20 services/],
  [{ connections: "1e3" }, /--connections takes a whole number/],
  [{ connections: "10001" }, /from 1 to 10000/],
  [{ rate: "fast" }, /--rate takes requests per second or "max"/],
  [{ rate: "0" }, /--rate/],
  [{ body: "1g" }, /--body takes sizes in bytes, KiB or MiB up to 64m/],
  [{ body: "65m" }, /--body/],
  [{ body: Array.from({ length: 17 }, (_, at) => at).join() }, /--body takes at most 16 values/],
  [{ duration: "10" }, /--duration takes a duration/],
  [{ duration: "11m" }, /from 100ms to 10m/],
  [{ repeat: "101" }, /--repeat/],
  [{ workers: "65" }, /--workers/],
  [{ idle: "0" }, /--idle/],
  [{ grpcCall: "bidi" }, /--grpc-call bidi is a call of gRPC: add --protocol grpc/],
  [{ protocol: "grpc", grpcCall: "client" }, /--grpc-call knows unary, server, bidi/],
  [{ protocol: "grpc", messages: "3" }, /--messages is for calls that stream/],
  [{ protocol: "grpc", grpcCall: "server", messages: "501" }, /--messages .* 1 to 500/],
  [{ protocol: "tcp", scale: true }, /--scale and --idle ask by http1, http2 or grpc/],
  [{ protocol: "tcp", idle: "3" }, /--scale and --idle ask by http1, http2 or grpc/],
  [{ cores: "many" }, /--cores knows shared, own/],
  [{ cores: "own", scale: true }, /--cores own is about calls/],
  [{ protocol: "tcp", body: "0,115" }, /tcp needs bodies of at least one byte/],
];

for (const [flags, message] of REFUSED) {
  test(`refused: ${JSON.stringify(flags).slice(0, 60)}`, () => {
    assert.throws(
      () => readOptions(flags),
      (error) => error instanceof UsageError && message.test(error.message),
    );
  });
}

test("ratios refer to the multiplexing HAProxy pair, else to the next fairest", () => {
  const all = [
    contestant({ name: "direct", peer: null, mode: "direct" }),
    contestant({ name: "hostmesh", peer: "hostmesh", mode: "host" }),
    contestant({ name: "haproxy", peer: "haproxy", mode: "host" }),
    contestant({ name: "pair h1", peer: "haproxy", mode: "sidecar", between: "mtls-http1" }),
    contestant({ name: "pair h2", peer: "haproxy", mode: "sidecar", between: "mtls-http2" }),
  ];
  assert.equal(chooseBaseline(all, null), "pair h2");
  assert.equal(chooseBaseline(all.slice(0, 4), null), "pair h1");
  assert.equal(chooseBaseline(all.slice(0, 3), null), "haproxy");
  assert.equal(chooseBaseline(all.slice(0, 2), null), null);
  assert.equal(chooseBaseline(all, "Pair H1"), "pair h1");
  assert.throws(() => chooseBaseline(all, "nginx"), /--baseline "nginx".*"pair h2"/);
});
