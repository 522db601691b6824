import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { afterEach, describe, it } from "node:test";
import { FakeClock } from "../../../src/core/clock.ts";
import {
  CANCEL,
  CLIENT_PREFACE,
  ENHANCE_YOUR_CALM,
  FRAME_GOAWAY,
  FRAME_RST_STREAM,
  FRAME_SETTINGS,
  PROTOCOL_ERROR,
  REFUSED_STREAM,
  SETTINGS_MAX_CONCURRENT_STREAMS,
} from "../../../src/http/h2/codes.ts";
import { frame } from "../../helpers/h2-frames.ts";
import {
  type ClientLab,
  clientLab,
  closeLabs,
  data,
  FramePeer,
  get,
  headers,
  type LabOptions,
  NO_HANDLER,
  post,
  settings,
  word,
} from "../../helpers/h2-lab.ts";
import { until } from "../../helpers/until.ts";

afterEach(closeLabs);

const OK = [":status", "200"];
const goaway = (last: number, code = 0) =>
  frame(FRAME_GOAWAY, 0, 0, Buffer.concat([word(last), word(code)]));

/** A client of ours, and a server that a test plays frame by frame. */
async function meet(
  options: Pick<LabOptions, "limits" | "clock"> = {},
  ...first: Buffer[]
): Promise<{ client: ClientLab; peer: FramePeer }> {
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection");
  const client = await clientLab((server.address() as AddressInfo).port, options);
  const [socket] = (await accepted) as [Socket];
  server.close();
  const peer = new FramePeer(socket, CLIENT_PREFACE);
  peer.send(...(first.length > 0 ? first : [settings(), frame(FRAME_SETTINGS, 1, 0)]));
  return { client, peer };
}

describe("a client's connection", () => {
  it("sends preface and settings, forbids pushes, and waits for nothing", async () => {
    const { client, peer } = await meet();
    client.request(get());
    await peer.until(/^headers 1 :method=GET .* last$/);
    assert.equal(peer.lines[0], "settings 2=0 4=262144 6=65536");
    assert.equal(peer.lines[1], `window 0 ${1_048_576 - 65_535}`);
  });

  it("keeps to the server's limit of streams, and says when there is room", async () => {
    const { client, peer } = await meet({}, settings([SETTINGS_MAX_CONCURRENT_STREAMS, 2]));
    assert.equal(client.session.maxStreams, 100);
    await until(() => client.told.includes("available"), { what: "the settings" });
    assert.equal(client.session.maxStreams, 2);
    const first = client.request(get());
    client.request(get());
    assert.equal(client.session.request(NO_HANDLER, get(), true), null);
    const before = client.told.length;
    peer.send(headers(1, OK));
    await until(() => first.complete && client.told.length > before, { what: "the answer" });
    client.request(get());
    await peer.until(/^headers 5 /);
  });

  it("refuses what is no response, and goes on", async () => {
    const cases: [string, Buffer[], number][] = [
      ["no :status", [headers(1, ["x", "y"])], PROTOCOL_ERROR],
      [":status 101", [headers(1, [":status", "101"], false)], PROTOCOL_ERROR],
      ["CR LF in a value", [headers(1, [...OK, "x", "a\r\nb"])], PROTOCOL_ERROR],
      ["a pseudo-field of requests", [headers(1, [...OK, ":path", "/"])], PROTOCOL_ERROR],
      ["connection", [headers(1, [...OK, "connection", "close"])], PROTOCOL_ERROR],
      ["DATA before the head", [data(1, "x")], PROTOCOL_ERROR],
      ["an interim response at the end", [headers(1, [":status", "103"])], PROTOCOL_ERROR],
      [
        "trailers in between",
        [headers(1, OK, false), headers(1, ["x", "y"], false)],
        PROTOCOL_ERROR,
      ],
      ["content with 204", [headers(1, [":status", "204"], false), data(1, "x")], PROTOCOL_ERROR],
      [
        "less than content-length",
        [headers(1, [...OK, "content-length", "5"], false), data(1, "x", true)],
        PROTOCOL_ERROR,
      ],
      [
        "more than content-length",
        [headers(1, [...OK, "content-length", "1"], false), data(1, "xy")],
        PROTOCOL_ERROR,
      ],
      ["a head too large", [headers(1, [...OK, "x", "y".repeat(9_000)])], ENHANCE_YOUR_CALM],
    ];
    for (const [what, frames, code] of cases) {
      const { client, peer } = await meet({ limits: { headBytes: 8_192 } });
      const exchange = client.request(get());
      await peer.until(/^headers 1 /);
      peer.send(...frames);
      assert.equal(await peer.until(/^(reset|goaway)/), `reset 1 ${code}`, what);
      assert.deepEqual(exchange.resets, [[code, false]], what);
      assert.equal(exchange.complete, false, what);
      const next = client.request(get());
      await peer.until(/^headers 3 /);
      peer.send(headers(3, OK));
      await until(() => next.complete, { what });
    }
  });

  it("takes answers without content as they are: to HEAD, 304", async () => {
    const { client, peer } = await meet();
    const head = client.request([":method", "HEAD", ...get().slice(2)]);
    const known = client.request(get());
    await peer.until(/^headers 3 /);
    peer.send(headers(1, [...OK, "content-length", "500"]));
    peer.send(headers(3, [":status", "304", "content-length", "500"]));
    await until(() => head.complete && known.complete, { what: "the answers" });
  });

  it("interim responses without end are an error", async () => {
    const { client, peer } = await meet({ limits: { headBytes: 1_000 } });
    const exchange = client.request(get());
    await peer.until(/^headers 1 /);
    for (let sent = 0; sent < 10; sent++) {
      peer.send(headers(1, [":status", "103", "link", "x".repeat(150)], false));
    }
    assert.equal(await peer.until(/^reset/), `reset 1 ${ENHANCE_YOUR_CALM}`);
    assert.equal(exchange.interim.length, 4);
  });

  it("what a server must never send ends the connection", async () => {
    const cases: [string, Buffer][] = [
      ["PUSH_PROMISE", frame(0x5, 4, 1, word(2))],
      ["a stream of the server", headers(2, OK)],
      ["a stream that was not asked for", headers(3, OK)],
      ["ENABLE_PUSH", settings([2, 1])],
    ];
    for (const [what, bytes] of cases) {
      const { client, peer } = await meet();
      const exchange = client.request(get());
      await peer.until(/^headers 1 /);
      peer.send(bytes);
      assert.match(await peer.until(/^goaway/), /^goaway 0 1/, what);
      assert.deepEqual(exchange.resets, [[CANCEL, true]], what);
      assert.ok(client.session.error !== null && client.session.goingAway);
    }
  });

  it("something else than HTTP/2 ends the connection", async () => {
    const { client, peer } = await meet({}, Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"));
    await until(() => client.session.state !== "open", { what: "the end" });
    assert.ok(client.session.error !== null);
    peer.socket.destroy();
    await until(() => client.told.some((line) => line.startsWith("end")), { what: "the end" });
  });

  it("late frames for requests that were given up are ignored", async () => {
    const { client, peer } = await meet();
    const given = client.request(get());
    await peer.until(/^headers 1 /);
    given.stream.reset(CANCEL);
    await peer.until(/^reset 1 8/);
    const next = client.request(get());
    await peer.until(/^headers 3 /);
    peer.send(headers(1, OK, false), data(1, "x"), headers(1, ["a", "b"]), headers(3, OK));
    await until(() => next.complete, { what: "the answer" });
    assert.deepEqual(given.head, []);
  });

  it("a server that has enough of a request says NO_ERROR behind its answer", async () => {
    const { client, peer } = await meet();
    const exchange = client.request(post(), "x".repeat(200_000));
    await peer.until(/^data 1 /);
    peer.send(headers(1, OK), frame(FRAME_RST_STREAM, 0, 1, word(0)));
    await until(() => exchange.resets.length === 1, { what: "the reset" });
    assert.equal(exchange.complete, true);
    assert.deepEqual(exchange.resets, [[0, true]]);
    assert.equal(client.session.queuedBytes, 0);
  });

  it("GOAWAY: what the server did not look at may be sent anew, the rest goes on", async () => {
    const { client, peer } = await meet();
    const exchanges = [1, 3, 5].map(() => client.request(get()));
    await peer.until(/^headers 5 /);
    peer.send(goaway(0x7fff_ffff), goaway(3));
    await until(() => exchanges[2]?.resets.length === 1, { what: "the refusal" });
    assert.deepEqual(exchanges[2]?.resets, [[REFUSED_STREAM, true]]);
    assert.deepEqual(
      exchanges.map(({ stream }) => stream.retrySafe),
      [false, false, true],
    );
    assert.equal(client.told.filter((line) => line === "going away").length, 1);
    assert.equal(client.session.request(NO_HANDLER, get(), true), null);
    peer.send(headers(1, OK), headers(3, OK));
    await until(() => exchanges[0]?.complete === true && exchanges[1]?.complete === true, {
      what: "the answers",
    });
    await peer.untilClosed();
    peer.socket.end();
    await until(() => client.told.at(-1) === "end", { what: "the end" });
  });

  it("drains: no more requests, and GOAWAY behind the last answer", async () => {
    const { client, peer } = await meet();
    const exchange = client.request(get());
    await peer.until(/^headers 1 /);
    client.session.drain();
    assert.equal(client.session.request(NO_HANDLER, get(), true), null);
    peer.send(headers(1, OK));
    await peer.until(/^goaway 0 0/);
    assert.equal(exchange.complete, true);
    await peer.untilClosed();
  });

  it("an idle one is closed", async () => {
    const clock = new FakeClock(1_000);
    const { client, peer } = await meet({ clock, limits: { idleMs: 20_000 } });
    await until(() => client.told.includes("available"), { what: "the settings" });
    await peer.until(/^settings ack/);
    for (let second = 0; second < 22; second++) {
      clock.advance(1_000);
      client.deadlines.tick();
    }
    assert.deepEqual(client.told, ["available", "going away"]);
    await peer.until(/^goaway 0 0/);
    await peer.untilClosed();
  });

  it("a lost connection loses its requests, which are not safe to retry", async () => {
    const { client, peer } = await meet();
    const exchange = client.request(get());
    await peer.until(/^headers 1 /);
    peer.socket.resetAndDestroy();
    await until(() => exchange.resets.length === 1, { what: "the loss" });
    assert.deepEqual(exchange.resets, [[CANCEL, true]]);
    assert.equal(exchange.stream.retrySafe, false);
    await until(() => client.told.some((line) => line.startsWith("end")), { what: "the end" });
  });

  it("a server without settings, and one that is silent, are given up", async () => {
    const clock = new FakeClock(1_000);
    const pass = (client: ClientLab, seconds: number) => {
      for (let second = 0; second < seconds; second++) {
        clock.advance(1_000);
        client.deadlines.tick();
      }
    };
    const mute = await meet({ clock }, frame(0x77, 0, 0).subarray(0, 3));
    pass(mute.client, 12);
    assert.match(`${mute.client.session.error}`, /no preface in time/);
    const limits = { pingIntervalMs: 5_000, pingTimeoutMs: 3_000 };
    const silent = await meet({ clock, limits });
    const exchange = silent.client.request(get());
    await silent.peer.until(/^headers 1 /);
    pass(silent.client, 6);
    await silent.peer.until(/^ping hm-alive/);
    pass(silent.client, 5);
    await until(() => exchange.resets.length === 1, { what: "the loss" });
  });

  it("too many frames of no use, and answers that break rules, end the connection", async () => {
    const { client, peer } = await meet();
    peer.send(...Array.from({ length: 3_000 }, () => frame(0x77, 0, 0)));
    await peer.until(/^goaway 0 11/);
    assert.equal(client.session.state, "closing");
  });

  it("keeps to what may wait for a server that reads nothing, and says when that is over", async () => {
    const { client, peer } = await meet({ limits: { unsentBytes: 65_536 } });
    await until(() => client.told.includes("available"), { what: "the settings" });
    peer.socket.pause();
    const large = get("/", "x", "y".repeat(30_000));
    let sent = 0;
    for (;;) {
      const stream = client.session.request(NO_HANDLER, large, true);
      if (stream === null) break;
      stream.reset(CANCEL);
      sent += 1;
      if (sent % 10 === 0) await new Promise(setImmediate);
    }
    assert.ok(client.session.queuedBytes < 2_000_000, `${client.session.queuedBytes} bytes`);
    const before = client.told.length;
    peer.socket.resume();
    await until(() => client.told.length > before, { what: "room" });
    await until(() => client.session.request(NO_HANDLER, get(), true) !== null, { what: "room" });
  });
});
