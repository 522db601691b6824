import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { FakeClock } from "../../../src/core/clock.ts";
import {
  FRAME_PING,
  FRAME_WINDOW_UPDATE,
  NO_ERROR,
  REFUSED_STREAM,
  SETTINGS_INITIAL_WINDOW_SIZE,
} from "../../../src/http/h2/codes.ts";
import { ServerSession } from "../../../src/http/h2/server-session.ts";
import { frame } from "../../helpers/h2-frames.ts";
import {
  clientLab,
  closeLabs,
  data,
  type Exchange,
  echo,
  FramePeer,
  get,
  headers,
  post,
  type ServerLab,
  serverLab,
  settings,
  word,
} from "../../helpers/h2-lab.ts";
import { until, untilStill } from "../../helpers/until.ts";

afterEach(closeLabs);

const widen = (id: number, by: number) => frame(FRAME_WINDOW_UPDATE, 0, id, word(by));
const pong = (text: string) => frame(FRAME_PING, 1, 0, text);

/** Answers with as many bytes as the path says, as the stream takes them. */
function sendBytes(exchange: Exchange): void {
  exchange.onComplete = () => {
    const piece = Buffer.alloc(50_000, "x");
    let left = Number(exchange.field(":path").slice(1));
    const go = () => {
      while (left > 0) {
        const size = Math.min(left, piece.length);
        left -= size;
        if (!exchange.stream.sendData(piece, 0, size, left === 0)) return;
      }
    };
    exchange.onWritable = go;
    exchange.stream.sendHead([":status", "200"], false);
    go();
  };
}

function silent(): void {}

async function served(
  onExchange: (exchange: Exchange) => void,
  ...first: Buffer[]
): Promise<{ lab: ServerLab; peer: FramePeer }> {
  const lab = await serverLab({ onExchange });
  return { lab, peer: await FramePeer.greet(lab.port, ...first) };
}

/** Everything that was sent has been dealt with: a PING comes back behind it. */
async function settle(peer: FramePeer): Promise<void> {
  const before = peer.lines.filter((line) => line === "ping ack settled!").length;
  peer.send(frame(FRAME_PING, 0, 0, "settled!"));
  const isBack = () => peer.lines.filter((line) => line === "ping ack settled!").length > before;
  await until(isBack, { what: "the PING" });
}

function pass(lab: ServerLab, clock: FakeClock, seconds: number): void {
  for (let second = 0; second < seconds; second++) {
    clock.advance(1_000);
    lab.deadlines.tick();
  }
}

describe("a server's connection", () => {
  it("says its limits, and widens its window beyond the protocol's", async () => {
    const { peer } = await served(silent);
    await peer.until(/^window/);
    assert.equal(peer.lines[0], "settings 3=256 4=262144 6=65536 8=1");
    assert.equal(peer.lines[1], `window 0 ${1_048_576 - 65_535}`);
  });

  it("refuses requests above the limit of streams, and takes more when some are done", async () => {
    const lab = await serverLab({ limits: { maxStreams: 3 }, onExchange: silent });
    const peer = await FramePeer.greet(lab.port);
    peer.send(...[1, 3, 5, 7].map((id) => headers(id, get())));
    assert.equal(await peer.until(/^reset/), `reset 7 ${REFUSED_STREAM}`);
    assert.deepEqual(lab.refused, [[REFUSED_STREAM, "more than 3 streams"]]);
    lab.exchanges[1]?.answer("x");
    await peer.until(/^data 3 1 last/);
    peer.send(headers(9, get()));
    await settle(peer);
    assert.equal(lab.exchanges.length, 4);
    assert.equal(lab.sessions[0]?.openStreams, 3);
  });

  it("resets a stream with the code that its handler says, and drops what was queued", async () => {
    const { lab, peer } = await served(sendBytes, headers(1, get("/1000000")));
    await until(() => peer.bytesOf(1) === 65_535, { what: "a window" });
    assert.ok((lab.exchanges[0]?.stream.queuedBytes ?? 0) > 0);
    lab.exchanges[0]?.stream.reset(13);
    assert.equal(await peer.until(/^reset/), "reset 1 13");
    assert.equal(lab.sessions[0]?.queuedBytes, 0);
    assert.deepEqual(lab.exchanges[0]?.resets, [], "it knows");
    lab.exchanges[0]?.answer("late");
    await settle(peer);
    assert.equal(peer.lines.filter((line) => / 1 /.test(line) && /late/.test(line)).length, 0);
  });

  it("tells every handler when the connection is lost", async () => {
    const { lab, peer } = await served(silent, headers(1, get()), headers(3, post(), false));
    await until(() => lab.exchanges.length === 2, { what: "the requests" });
    peer.socket.resetAndDestroy();
    await until(() => lab.ends.length === 1, { what: "the end" });
    for (const { resets } of lab.exchanges) assert.deepEqual(resets, [[8, true]]);
    assert.ok(lab.sessions[0]?.error !== null);
  });

  it("reads byte by byte what it reads at once", async () => {
    const { lab, peer } = await served(echo);
    const session = await lab.session();
    await settle(peer);
    const bytes = Buffer.concat([
      headers(1, post("content-length", "5"), false),
      data(1, "hello"),
      headers(1, ["checksum", "42"]),
    ]);
    const one = Buffer.alloc(1);
    for (const byte of bytes) {
      one[0] = byte;
      session.onBytes(one, 1);
    }
    await peer.until(/^headers 1 checksum=42 last/);
    assert.equal(peer.bytesOf(1), 5);
    assert.equal(session.openStreams, 0);
  });

  it("takes over a connection that was upgraded, if its settings are good", async () => {
    const { canUpgrade } = ServerSession;
    assert.ok(canUpgrade("") && canUpgrade("AAMAAABkAAQAAP__"));
    for (const bad of ["AAMAAABkAAQAAP_", "AAM", "AAMAAABkAAQAAP//", "AAMAAABk,AAQAAP__", "a b"]) {
      assert.equal(canUpgrade(bad), false, bad);
    }
  });

  it("ends with INTERNAL_ERROR, and without a word of why, when a handler throws", async () => {
    const { lab, peer } = await served(
      () => {
        throw new Error("a secret");
      },
      headers(1, get()),
    );
    assert.equal(await peer.until(/^goaway/), "goaway 1 2");
    await peer.untilClosed();
    assert.match(`${lab.sessions[0]?.error}`, /a secret/);
  });
});

describe("flow control of what is sent", () => {
  it("keeps to the window of the stream and of the connection", async () => {
    const { peer } = await served(
      sendBytes,
      headers(1, get("/200000")),
      headers(3, get("/200000")),
    );
    const both = () => peer.bytesOf(1) + peer.bytesOf(3);
    await until(() => both() === 65_535, { what: "the connection's window" });
    peer.send(widen(0, 1_000_000));
    await until(() => both() === 2 * 65_535, { what: "the streams' windows" });
    peer.send(widen(1, 10));
    await settle(peer);
    assert.equal(peer.bytesOf(1), 65_545);
    peer.send(widen(1, 200_000), widen(3, 200_000));
    await peer.until(/^data 1 \d+ last/);
    await peer.until(/^data 3 \d+ last/);
    assert.equal(both(), 400_000);
  });

  it("goes by changed initial windows, below zero too (RFC 9113 6.9.2)", async () => {
    const { peer } = await served(sendBytes, widen(0, 1_000_000), headers(1, get("/200000")));
    await until(() => peer.bytesOf(1) === 65_535, { what: "a window" });
    // The window is 0 now; it becomes -65,000, and then -10.
    peer.send(settings([SETTINGS_INITIAL_WINDOW_SIZE, 535]), widen(1, 64_990));
    await settle(peer);
    assert.equal(peer.bytesOf(1), 65_535);
    peer.send(widen(1, 15));
    await until(() => peer.bytesOf(1) === 65_540, { what: "what is above zero" });
    peer.send(settings([SETTINGS_INITIAL_WINDOW_SIZE, 635]));
    await until(() => peer.bytesOf(1) === 65_640, { what: "what the settings add" });
    const acks = peer.lines.lastIndexOf("settings ack");
    assert.ok(acks < peer.lines.lastIndexOf("data 1 100"), "the acknowledgement comes first");
  });

  it("one stream that nobody takes does not hold up another", async () => {
    const { peer } = await served(
      sendBytes,
      settings([SETTINGS_INITIAL_WINDOW_SIZE, 1_000]),
      widen(0, 10_000_000),
      headers(1, get("/1000000")),
      headers(3, get("/1000000")),
      widen(3, 1_000_000),
    );
    await peer.until(/^data 3 \d+ last/);
    assert.equal(peer.bytesOf(1), 1_000);
  });

  it("a small answer passes between the frames of large ones", async () => {
    const { lab, peer } = await served(
      sendBytes,
      settings([SETTINGS_INITIAL_WINDOW_SIZE, 100_000_000]),
      widen(0, 100_000_000),
      headers(1, get("/30000000")),
      headers(3, get("/30000000")),
    );
    peer.socket.pause();
    const queued = () => lab.exchanges.reduce((sum, { stream }) => sum + stream.queuedBytes, 0);
    await until(() => lab.exchanges.length === 2 && queued() > 0, { what: "the congestion" });
    const session = await lab.session();
    assert.ok(session.queuedBytes < 400_000, `${session.queuedBytes} bytes are queued`);
    peer.socket.resume();
    peer.send(headers(5, get("/100")));
    await peer.until(/^data 1 \d+ last/);
    await peer.until(/^data 3 \d+ last/);
    const at = peer.lines.indexOf("data 5 100 last");
    const left = peer.lines.slice(at).filter((line) => /^data [13] /.test(line)).length;
    assert.ok(at !== -1 && left > 500, `${left} frames came behind it`);
  });

  it("streams take turns, however much each has queued", async () => {
    const { peer } = await served(
      (exchange) => {
        if (exchange.stream.id === 1) return sendBytes(exchange);
        exchange.onComplete = () => {
          exchange.stream.sendHead([":status", "200"], false);
          exchange.stream.sendData(Buffer.alloc(6_000_000), 0, 6_000_000, true);
        };
      },
      settings([SETTINGS_INITIAL_WINDOW_SIZE, 100_000_000]),
      headers(1, get("/20000000")),
      headers(3, get()),
      headers(5, get()),
    );
    await until(() => peer.received === 65_535, { what: "the connection's window" });
    const first = peer.bytesOf(1);
    peer.send(widen(0, 100_000_000));
    await peer.until(/^data 3 \d+ last/);
    const end = peer.lines.findIndex((line) => /^data 3 \d+ last/.test(line));
    const until3 = peer.lines.slice(0, end);
    const bytes = (id: number) =>
      until3.reduce((sum, line) => {
        const [kind, stream, size] = line.split(" ");
        return kind === "data" && stream === `${id}` ? sum + Number(size) : sum;
      }, 0);
    const [asked, equal] = [bytes(1) - first, bytes(5)];
    assert.ok(equal > 5_900_000, `${equal} bytes of its like`);
    assert.ok(asked > 3_000_000 && asked < 7_000_000, `${asked} bytes of one that asks`);
  });

  it("trailers come behind what is queued, and an end alone needs no window", async () => {
    const { peer } = await served(
      (exchange) => {
        exchange.onComplete = () => {
          const { stream } = exchange;
          stream.sendHead([":status", "200"], false);
          const fits = stream.sendData(Buffer.alloc(10), 0, 10, false);
          assert.equal(fits, false);
          stream.sendTrailers(["checksum", "42"]);
          stream.sendData(Buffer.alloc(10), 0, 10, true);
        };
      },
      settings([SETTINGS_INITIAL_WINDOW_SIZE, 4]),
      headers(1, get()),
    );
    await peer.until(/^data 1 4/);
    peer.send(widen(1, 100));
    await peer.until(/^headers 1 checksum=42 last/);
    assert.deepEqual(
      peer.lines.filter((line) => / 1 /.test(line)),
      ["headers 1 :status=200", "data 1 4", "data 1 6", "headers 1 checksum=42 last"],
    );
    const empty = await served(
      (exchange) => {
        exchange.onComplete = () => {
          exchange.stream.sendHead([":status", "200"], false);
          exchange.stream.sendData(Buffer.alloc(0), 0, 0, true);
        };
      },
      settings([SETTINGS_INITIAL_WINDOW_SIZE, 0]),
      headers(1, get()),
    );
    await empty.peer.until(/^data 1 0 last/);
  });
});

describe("flow control of what is received", () => {
  it("a stream that is not read does not hold up others, and goes on when it is", async () => {
    const lab = await serverLab({
      onExchange: (exchange) => {
        exchange.onComplete = () => exchange.answer(`${exchange.bytes}`);
        if (lab.exchanges.length <= 5) exchange.consumes = false;
      },
    });
    const { request } = await clientLab(lab.port);
    const stuck = Array.from({ length: 5 }, () => request(post(), "x".repeat(1_000_000)));
    await until(() => lab.exchanges.length === 5, { what: "the stuck ones" });
    const session = await lab.session();
    // More than the connection's window of 1 MiB is unread, and yet:
    await until(() => session.queuedBytes === 5 * 262_144, { what: "their windows" });
    const fast = request(post(), "x".repeat(5_000_000));
    await until(() => fast.complete, { what: "the fast one" });
    assert.equal(fast.body, "5000000");
    for (const exchange of lab.exchanges.slice(0, 5)) {
      assert.equal(exchange.complete, false);
      exchange.consumes = true;
      exchange.stream.consumed(exchange.bytes);
    }
    await until(() => stuck.every(({ complete }) => complete), { what: "the stuck ones" });
    assert.equal(session.queuedBytes, 0);
  });

  it("credit comes in halves of a window, and none for a stream that has ended", async () => {
    const { lab, peer } = await served(
      (exchange) => {
        exchange.consumes = false;
      },
      headers(1, post(), false),
    );
    for (let sent = 0; sent < 9; sent++) peer.send(data(1, Buffer.alloc(16_384)));
    await until(() => lab.exchanges[0]?.bytes === 147_456, { what: "the content" });
    lab.exchanges[0]?.stream.consumed(131_071);
    await settle(peer);
    assert.equal(peer.lines.filter((line) => line.startsWith("window 1")).length, 0);
    lab.exchanges[0]?.stream.consumed(1);
    assert.equal(await peer.until(/^window 1/), "window 1 131072");
    peer.send(data(1, Buffer.alloc(16_384)), data(1, Buffer.alloc(16_384)));
    for (let sent = 0; sent < 6; sent++) peer.send(data(1, Buffer.alloc(16_384), sent === 5));
    await until(() => lab.exchanges[0]?.complete === true, { what: "the end" });
    lab.exchanges[0]?.stream.consumed(1_000_000);
    await settle(peer);
    assert.equal(peer.lines.filter((line) => line.startsWith("window 1")).length, 1);
    assert.equal(lab.sessions[0]?.queuedBytes, 0);
  });

  it("padding is credited by itself", async () => {
    const { lab, peer } = await served(
      (exchange) => {
        exchange.consumes = false;
      },
      headers(1, post(), false),
    );
    const padded = frame(0, 0x8, 1, Buffer.concat([Buffer.of(255), Buffer.alloc(256)]));
    for (let sent = 0; sent < 600; sent++) peer.send(padded);
    await peer.until(/^window 1/);
    assert.equal(lab.exchanges[0]?.bytes, 600);
  });
});

describe("the end of a server's connection", () => {
  it("drains: two GOAWAYs around a round trip, then what was open is served (RFC 9113 6.8)", async () => {
    const { lab, peer } = await served(silent, headers(1, get()));
    await until(() => lab.exchanges.length === 1, { what: "the request" });
    const session = await lab.session();
    session.drain();
    await peer.until(/^goaway 2147483647 0/);
    assert.equal(await peer.until(/^ping/), "ping hm-drain");
    peer.send(headers(3, get()), pong("hm-drain"), headers(5, post(), false), data(5, "x", true));
    await peer.until(/^goaway 3 0/);
    assert.equal(await peer.until(/^reset/), `reset 5 ${REFUSED_STREAM}`);
    assert.equal(lab.exchanges.length, 2);
    lab.exchanges[0]?.answer("a");
    lab.exchanges[1]?.answer("b");
    await peer.until(/^data 3 1 last/);
    await peer.untilClosed();
    peer.socket.end();
    await until(() => lab.ends.length === 1, { what: "the end" });
    assert.deepEqual(lab.ends, [null]);
    assert.deepEqual(lab.exchanges[1]?.resets, []);
  });

  it("drains without the client's help after a second", async () => {
    const clock = new FakeClock(1_000);
    const lab = await serverLab({ clock });
    const peer = await FramePeer.greet(lab.port, headers(1, get()));
    await peer.until(/^data 1 5 last/);
    (await lab.session()).drain();
    pass(lab, clock, 1);
    await peer.until(/^goaway 1 0/);
    await peer.untilClosed();
  });

  it("what was sent before the end reaches a slow client, which is given up when it takes nothing", async () => {
    for (const reads of [true, false]) {
      const clock = new FakeClock(1_000);
      const lab = await serverLab({ clock, onExchange: sendBytes });
      const peer = await FramePeer.greet(
        lab.port,
        settings([SETTINGS_INITIAL_WINDOW_SIZE, 100_000_000]),
        widen(0, 100_000_000),
      );
      const session = await lab.session();
      await peer.until(/^settings ack/);
      peer.socket.pause();
      peer.send(headers(1, get("/20000000")));
      await until(() => (lab.exchanges[0]?.stream.queuedBytes ?? 0) > 0, { what: "congestion" });
      await untilStill(() => 1 + session.queuedBytes, 50);
      session.close();
      assert.ok(session.queuedBytes > 0);
      pass(lab, clock, reads ? 5 : 40);
      assert.equal(session.state, "closing");
      assert.equal(session.conn.closed, !reads);
      peer.socket.resume();
      if (reads) await peer.until(/^goaway 1 0/);
      else await peer.untilClosed();
    }
  });

  it("asks a silent client for a sign of life, and gives up one that gives none", async () => {
    const clock = new FakeClock(1_000);
    const limits = { pingIntervalMs: 5_000, pingTimeoutMs: 3_000 };
    const lab = await serverLab({ clock, limits, onExchange: silent });
    const peer = await FramePeer.greet(lab.port, headers(1, get()));
    await until(() => lab.exchanges.length === 1, { what: "the request" });
    const session = await lab.session();
    const pings = () => peer.lines.filter((line) => line === "ping hm-alive").length;
    for (let round = 1; round <= 3; round++) {
      pass(lab, clock, 7);
      await until(() => pings() === round, { what: "a PING" });
      peer.send(pong("hm-alive"));
      await settle(peer);
    }
    assert.equal(session.state, "open");
    pass(lab, clock, 12);
    await until(() => lab.ends.length === 1, { what: "the end" });
    assert.deepEqual(lab.exchanges[0]?.resets, [[8, true]]);
  });

  it("closes when the client does, and at once when it is told to", async () => {
    const first = await served(silent, headers(1, get()));
    await until(() => first.lab.exchanges.length === 1, { what: "the request" });
    first.peer.socket.end();
    await first.peer.untilClosed();
    await until(() => first.lab.ends.length === 1, { what: "the end" });
    const second = await served(silent, headers(1, get()));
    await until(() => second.lab.exchanges.length === 1, { what: "the request" });
    (await second.lab.session()).close(NO_ERROR, "bye");
    assert.equal(await second.peer.until(/^goaway/), "goaway 1 0 bye");
    await second.peer.untilClosed();
    assert.deepEqual(second.lab.exchanges[0]?.resets, [[8, true]]);
  });

  it("keeps nothing of ten thousand requests", async () => {
    const lab = await serverLab();
    const { request } = await clientLab(lab.port);
    for (let round = 0; round < 100; round++) {
      const exchanges = Array.from({ length: 100 }, () => request(get()));
      await until(() => exchanges.every(({ complete }) => complete), { what: "the answers" });
    }
    const session = await lab.session();
    assert.equal(session.openStreams, 0);
    await untilStill(() => 1 + session.queuedBytes, 20);
    assert.equal(session.queuedBytes, 0);
  });
});
