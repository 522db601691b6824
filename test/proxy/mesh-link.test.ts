import assert from "node:assert/strict";
import type { ServerHttp2Stream } from "node:http2";
import { describe, test } from "node:test";
import { HandTimers } from "../helpers/hand-timers.ts";
import { CART, CART_1, CART_2, linkLab, SHOP, SHOP_1 } from "../helpers/link-lab.ts";
import { linkPeer, type OnStream } from "../helpers/link-peers.ts";
import { credentialsOf, issue, newAuthority } from "../helpers/mesh-lab.ts";
import { until } from "../helpers/until.ts";

/** Answers with the fields that it got. */
const TELL: OnStream = (stream, headers) => {
  stream.respond({ ":status": 200 });
  stream.end(JSON.stringify(headers));
};

const THREE = [{}, {}, {}];

describe("requests to another host", () => {
  test("share one connection, whoever of an identity sends them and whichever endpoint is meant", async (t) => {
    const { lab, proof } = await linkLab(t);
    const peer = await linkPeer(proof, TELL);
    t.after(() => peer.close());
    lab.serve(peer, THREE);
    const all = Array.from({ length: 100 }, (_, at) =>
      lab.get(`/${at}`, at % 2 === 0 ? CART_1 : CART_2),
    );
    const seen = new Set<string>();
    for (const [at, got] of (await Promise.all(all)).entries()) {
      assert.equal(got.status, 200);
      const fields = JSON.parse(got.body);
      assert.equal(fields[":path"], `/${at}`);
      assert.equal(fields[":authority"], "web");
      assert.equal(fields["x-hostmesh-client"], at % 2 === 0 ? CART_1 : CART_2);
      assert.equal(fields["x-hostmesh-protocol"], "http/1.1");
      seen.add(fields["x-hostmesh-endpoint"]);
    }
    assert.deepEqual([...seen].sort(), ["10.1.0.1:8080", "10.1.0.2:8080", "10.1.0.3:8080"]);
    assert.deepEqual(peer.callers, [CART]);
    const { idleUpstream, busyUpstream } = lab.plane.stats();
    assert.deepEqual({ idleUpstream, busyUpstream }, { idleUpstream: 1, busyUpstream: 0 });
  });

  test("of two identities never share one", async (t) => {
    const { lab, proof } = await linkLab(t);
    const peer = await linkPeer(proof, TELL);
    t.after(() => peer.close());
    lab.serve(peer);
    await Promise.all([lab.get("/", CART_1), lab.get("/", SHOP_1), lab.get("/", CART_2)]);
    assert.deepEqual(peer.callers.toSorted(), [CART, SHOP]);
    assert.equal(peer.sessions.length, 2);
  });

  test("bring along no word of the application's own on where they go and whose they are", async (t) => {
    const { lab, proof } = await linkLab(t);
    const peer = await linkPeer(proof, TELL);
    t.after(() => peer.close());
    lab.serve(peer);
    const headers = {
      "X-Hostmesh-Endpoint": "10.9.9.9:1",
      "x-hostmesh-client": "10.9.9.9",
      "X-HostMesh-Protocol": "h2",
      "x-hostmesh-other": "kept",
    };
    const { body } = await lab.send({ headers });
    const fields = JSON.parse(body);
    assert.equal(fields["x-hostmesh-endpoint"], "10.1.0.1:8080");
    assert.equal(fields["x-hostmesh-client"], CART_1);
    assert.equal(fields["x-hostmesh-protocol"], "http/1.1");
    assert.equal(fields["x-hostmesh-other"], "kept");
  });

  test("carry bodies, and say which version the client speaks where the service does not", async (t) => {
    const { lab, proof } = await linkLab(t);
    const peer = await linkPeer(proof, (stream, headers) => {
      stream.respond({ ":status": 201, "x-protocol": headers["x-hostmesh-protocol"] });
      stream.pipe(stream);
    });
    t.after(() => peer.close());
    lab.serve(peer);
    const body = "b".repeat(300_000);
    const got = await lab.send({ method: "POST", body });
    assert.equal(got.status, 201);
    assert.equal(got.headers["x-protocol"], "http/1.1");
    assert.ok(got.body === body);
    lab.serve(peer, [{}], { protocol: "http2" });
    assert.equal((await lab.send({ method: "POST", body })).headers["x-protocol"], "h2");
    assert.equal(peer.sessions.length, 1);
  });
});

describe("a connection to another host", () => {
  test("that goes away keeps what it carries, and the next one takes what is new", async (t) => {
    const { lab, proof } = await linkLab(t);
    const held: ServerHttp2Stream[] = [];
    const peer = await linkPeer(proof, (stream, headers) => {
      if (headers[":path"] === "/held") held.push(stream);
      else TELL(stream, headers);
    });
    t.after(() => peer.close());
    lab.serve(peer);
    const late = lab.get("/held");
    await until(() => held.length === 1);
    peer.sessions[0]?.close();
    for (let at = 0; at < 3; at++) assert.equal((await lab.get("/")).status, 200);
    assert.equal(peer.sessions.length, 2);
    held[0]?.respond({ ":status": 200 });
    held[0]?.end("late");
    assert.equal((await late).body, "late");
    await until(() => peer.sockets.size === 1, { what: "the end of the first" });
  });

  test("that is lost fails what may have been acted on, and sends again what may be repeated", async (t) => {
    const { lab, proof } = await linkLab(t);
    const held: ServerHttp2Stream[] = [];
    const peer = await linkPeer(proof, (stream, headers) => {
      if (peer.sessions.length === 1 && headers[":path"] !== "/first") held.push(stream);
      else TELL(stream, headers);
    });
    t.after(() => peer.close());
    lab.serve(peer, [{}, {}]);
    await lab.get("/first");
    const get = lab.get("/get");
    const post = lab.send({ path: "/post", method: "POST", body: "x" });
    await until(() => held.length === 2);
    for (const socket of peer.sockets) socket.resetAndDestroy();
    assert.equal((await get).status, 200);
    const failed = await post;
    assert.equal(failed.status, 502);
    assert.equal(failed.headers["x-hostmesh-error"], "UPSTREAM_RESET");
  });

  test("has others beside it once its streams are used up, but no more than four", async (t) => {
    const { lab, proof } = await linkLab(t);
    const held: ServerHttp2Stream[] = [];
    const peer = await linkPeer(proof, (stream) => held.push(stream), {
      settings: { maxConcurrentStreams: 5 },
    });
    t.after(() => peer.close());
    lab.serve(peer);
    const all = Array.from({ length: 23 }, (_, at) => lab.get(`/${at}`));
    await until(() => held.length === 20 && lab.plane.stats().pending === 3);
    assert.equal(peer.sessions.length, 4);
    for (let at = 0; at < 23; at++) {
      await until(() => held.length > at);
      held[at]?.respond({ ":status": 200 });
      held[at]?.end("ok");
    }
    for (const got of await Promise.all(all)) assert.equal(got.body, "ok");
    assert.equal(peer.sessions.length, 4);
  });

  test("does not let small requests wait behind what is large", async (t) => {
    const { lab, proof } = await linkLab(t);
    let bytes = 0;
    let isPaused = true;
    let stream: ServerHttp2Stream | undefined;
    const peer = await linkPeer(proof, (one, headers) => {
      if (headers[":path"] !== "/large") {
        TELL(one, headers);
        return;
      }
      stream = one;
      stream.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (isPaused) one.pause();
      });
      stream.on("end", () => {
        one.respond({ ":status": 200 });
        one.end("whole");
      });
    });
    t.after(() => peer.close());
    lab.serve(peer);
    const body = Buffer.alloc(50_000_000, "l");
    const large = lab.send({ path: "/large", method: "POST", body, from: CART_2 });
    await until(() => bytes > 0);
    for (let at = 0; at < 50; at++) assert.equal((await lab.get("/small")).status, 200);
    assert.ok(bytes < body.length, "the large one is still under way");
    isPaused = false;
    stream?.resume();
    for (let at = 0; at < 50; at++) assert.equal((await lab.get("/small")).status, 200);
    assert.equal((await large).body, "whole");
    assert.equal(bytes, body.length);
  });

  test("is closed when it has been idle for long, and at the end of a shutdown", async (t) => {
    const timers = new HandTimers();
    const { lab, proof } = await linkLab(t, { timers });
    const peer = await linkPeer(proof, TELL);
    t.after(() => peer.close());
    lab.serve(peer);
    await lab.get("/");
    timers.advance(lab.config.timeouts.upstreamIdleMs - 1_000);
    await lab.get("/");
    timers.advance(lab.config.timeouts.upstreamIdleMs - 1_000);
    await lab.get("/");
    assert.equal(peer.callers.length, 1);
    timers.advance(lab.config.timeouts.upstreamIdleMs + 1_000);
    await until(() => peer.sessions[0]?.closed === true, { what: "its end" });
    await lab.get("/");
    assert.equal(peer.callers.length, 2);
    const drained = lab.plane.drain(1_000);
    await until(() => peer.sessions[1]?.closed === true, { what: "the end of the second" });
    await drained;
  });

  test("is not used any more once who vouched for its other end is no longer trusted", async (t) => {
    const { lab, proof } = await linkLab(t);
    const peer = await linkPeer(proof, TELL);
    t.after(() => peer.close());
    lab.serve(peer);
    await lab.get("/");
    const authority = newAuthority();
    lab.plane.setCredentials(credentialsOf([authority], [issue(authority, CART)]));
    await until(() => peer.sockets.size === 0, { what: "its end" });
    const got = await lab.get("/");
    assert.equal(got.status, 502);
    assert.equal(got.headers["x-hostmesh-error"], "TLS_FAILED");
  });
});
