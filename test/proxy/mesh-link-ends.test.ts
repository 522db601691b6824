import assert from "node:assert/strict";
import { once } from "node:events";
import { constants, type ServerHttp2Stream } from "node:http2";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { CART_1, linkLab } from "../helpers/link-lab.ts";
import { linkPeer } from "../helpers/link-peers.ts";
import { until } from "../helpers/until.ts";

const DONE = { ":status": 200 };

describe("a link whose connections end", () => {
  it("is open however many of them still end what they have", async (t) => {
    const { lab, proof } = await linkLab(t, { config: { timeouts: { poolQueueMs: 3_000 } } });
    const held: ServerHttp2Stream[] = [];
    const peer = await linkPeer(proof, (stream, headers) => {
      if (headers[":path"] === "/held") held.push(stream);
      else stream.respond(DONE, { endStream: true });
    });
    t.after(() => peer.close());
    lab.serve(peer);
    const late = [];
    for (let at = 0; at < 6; at++) {
      late.push(lab.get("/held"));
      await until(() => held.length === at + 1 && peer.sessions.length === at + 1);
      peer.sessions[at]?.close();
      // Behind it a request finds a connection of its own.
      await until(async () => (await lab.get("/")).status === 200 && peer.sessions.length > at + 1);
      peer.sessions[at + 1]?.close();
      await until(() => peer.sessions[at + 1]?.closed === true);
      peer.sessions.splice(at + 1, 1);
    }
    assert.equal((await lab.get("/")).status, 200);
    for (const one of held) one.respond(DONE, { endStream: true });
    for (const { status } of await Promise.all(late)) assert.equal(status, 200);
  });

  it("gives places to those who wait at a limit of connections when it is opened anew", async (t) => {
    const { lab, proof, dropAuthority } = await linkLab(t, {
      config: { pool: { maxConnectionsPerEndpoint: 1 }, timeouts: { poolQueueMs: 10_000 } },
    });
    const held: ServerHttp2Stream[] = [];
    const peer = await linkPeer(proof, (stream) => held.push(stream));
    t.after(() => peer.close());
    const { endpoints } = lab.serve(peer);
    const first = lab.get("/a");
    await until(() => held.length === 1);
    const second = lab.get("/b");
    await until(() => lab.plane.stats().pending === 1);
    dropAuthority();
    held[0]?.respond(DONE, { endStream: true });
    assert.equal((await first).status, 200);
    await until(() => held.length === 2, { what: "the second request" });
    held[1]?.respond(DONE, { endStream: true });
    assert.equal((await second).status, 200);
    await until(() => lab.endpoints.connections(endpoints[0]?.slot ?? -1) === 0);
  });

  it("asks once more for a tunnel that was not looked at, and no more than once", async (t) => {
    const { lab, proof } = await linkLab(t);
    let asked = 0;
    let refusals = 1;
    const peer = await linkPeer(proof, (stream) => {
      asked += 1;
      if (refusals-- > 0) stream.close(constants.NGHTTP2_REFUSED_STREAM);
      else {
        stream.respond(DONE);
        stream.end("hello");
      }
    });
    t.after(() => peer.close());
    lab.serve(peer, [{}], { protocol: "tcp" });
    const ask = async () => {
      const client = connect({ port: lab.port, host: "127.0.0.1", localAddress: CART_1 });
      t.after(() => client.destroy());
      client.write("CONNECT web:80 HTTP/1.1\r\nHost: web:80\r\n\r\n");
      const [answer] = (await once(client, "data")) as [Buffer];
      return answer.toString("latin1");
    };
    assert.match(await ask(), /^HTTP\/1.1 200 /);
    assert.equal(asked, 2);
    refusals = 5;
    assert.match(await ask(), /^HTTP\/1.1 502 [^]*MESH_REFUSED/);
    assert.equal(asked, 4);
  });
});
