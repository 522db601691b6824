import assert from "node:assert/strict";
import { connect } from "node:net";
import { afterEach, describe, it } from "node:test";
import { FakeClock } from "../../../src/core/clock.ts";
import {
  CANCEL,
  CLIENT_PREFACE,
  COMPRESSION_ERROR,
  ENHANCE_YOUR_CALM,
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  FLAG_PADDED,
  FLOW_CONTROL_ERROR,
  FRAME_CONTINUATION,
  FRAME_DATA,
  FRAME_GOAWAY,
  FRAME_HEADERS,
  FRAME_PING,
  FRAME_PRIORITY,
  FRAME_RST_STREAM,
  FRAME_SETTINGS,
  FRAME_SIZE_ERROR,
  FRAME_WINDOW_UPDATE,
  NO_ERROR,
  PROTOCOL_ERROR,
  SETTINGS_HEADER_TABLE_SIZE,
  SETTINGS_INITIAL_WINDOW_SIZE,
  SETTINGS_TIMEOUT,
  STREAM_CLOSED,
} from "../../../src/http/h2/codes.ts";
import { frame } from "../../helpers/h2-frames.ts";
import {
  block,
  closeLabs,
  data,
  type Exchange,
  echo,
  FramePeer,
  get,
  headers,
  hello,
  type LabOptions,
  post,
  type ServerLab,
  serverLab,
  settings,
  word,
} from "../../helpers/h2-lab.ts";
import { until, untilStill } from "../../helpers/until.ts";

afterEach(closeLabs);

const reset = (id: number, code = CANCEL) => frame(FRAME_RST_STREAM, 0, id, word(code));
const widen = (id: number, by: number) => frame(FRAME_WINDOW_UPDATE, 0, id, word(by));
const ping = (text = "12345678") => frame(FRAME_PING, 0, 0, text);
const priority = (id: number, on = 0) =>
  frame(FRAME_PRIORITY, 0, id, Buffer.concat([word(on), Buffer.of(15)]));

/** A handler that consumes nothing of what it gets. */
function withhold(exchange: Exchange): void {
  exchange.consumes = false;
}

/** What `make` gives for 0, 1, 2 and so on. */
function times(count: number, make: (at: number) => Buffer): Buffer {
  return Buffer.concat(Array.from({ length: count }, (_, at) => make(at)));
}

async function attack(
  options: LabOptions,
  ...frames: Buffer[]
): Promise<{ lab: ServerLab; peer: FramePeer }> {
  const lab = await serverLab(options);
  const peer = await FramePeer.greet(lab.port, ...frames);
  return { lab, peer };
}

/** The connection ends with this code, and with nothing left of it. */
async function assertGoaway({ lab, peer }: { lab: ServerLab; peer: FramePeer }, code: number) {
  const line = await peer.until(/^goaway/);
  assert.equal(line.split(" ")[2], `${code}`, line);
  await peer.untilClosed();
  peer.socket.end();
  await until(() => lab.ends.length === 1, { what: "the session's end" });
  assert.equal(lab.sessions[0]?.openStreams, 0);
}

/** The stream is reset with this code, the connection goes on. */
async function assertReset(peer: FramePeer, id: number, code: number, next = 101) {
  assert.equal(await peer.until(new RegExp(`^reset ${id} `)), `reset ${id} ${code}`);
  peer.send(headers(next, get()));
  await peer.until(new RegExp(`^data ${next} 5 last`));
}

/** Moves clock and deadlines a second at a time. */
function pass(lab: ServerLab, clock: FakeClock, seconds: number): void {
  for (let second = 0; second < seconds; second++) {
    clock.advance(1_000);
    lab.deadlines.tick();
  }
}

describe("floods of frames", () => {
  it("rapid reset (CVE-2023-44487) ends the connection", async () => {
    const flood = times(2_000, (at) =>
      Buffer.concat([headers(2 * at + 1, get()), reset(2 * at + 1)]),
    );
    const silent = { onExchange: () => undefined };
    const attacked = await attack(silent, flood);
    await assertGoaway(attacked, ENHANCE_YOUR_CALM);
    assert.ok(attacked.lab.exchanges.length <= 600, `${attacked.lab.exchanges.length} requests`);
  });

  it("rapid reset among answered requests does not get further than they pay for", async () => {
    const flood = times(4_000, (at) =>
      at % 3 === 0
        ? headers(2 * at + 1, get("/answer"))
        : Buffer.concat([headers(2 * at + 1, get("/hang")), reset(2 * at + 1)]),
    );
    const onExchange: LabOptions["onExchange"] = (exchange) => {
      exchange.onComplete = () => {
        if (exchange.field(":path") === "/answer") exchange.answer("");
      };
    };
    await assertGoaway(await attack({ onExchange }, flood), ENHANCE_YOUR_CALM);
  });

  it("a client that gives up on some of its requests keeps its connection", async () => {
    const some = times(3_000, (at) => {
      const id = 2 * at + 1;
      const request = headers(id, get(at % 3 === 0 ? "/hang" : "/answer"));
      return at % 3 === 0 ? Buffer.concat([request, reset(id)]) : request;
    });
    const onExchange: LabOptions["onExchange"] = (exchange) => {
      exchange.onComplete = () => {
        if (exchange.field(":path") === "/answer") exchange.answer("");
      };
    };
    const { peer } = await attack({ onExchange }, some);
    await peer.until(/^headers 5999 /);
    assert.equal(peer.lines.filter((line) => line.startsWith("goaway")).length, 0);
  });

  it("resets long after the request are no rapid reset", async () => {
    const clock = new FakeClock(1_000);
    const lab = await serverLab({ clock, onExchange: () => undefined });
    const peer = await FramePeer.greet(lab.port);
    for (let round = 0; round < 6; round++) {
      const ids = Array.from({ length: 200 }, (_, at) => 2 * (200 * round + at) + 1);
      peer.send(...ids.map((id) => headers(id, get())));
      await until(() => lab.sessions[0]?.openStreams === 200, { what: "the requests" });
      clock.advance(2_000);
      peer.send(...ids.map((id) => reset(id)));
      await until(() => lab.sessions[0]?.openStreams === 0, { what: "the resets" });
    }
    peer.send(ping());
    await peer.until(/^ping ack/);
  });

  it("made you reset (CVE-2025-8671): faults that have us reset streams end the connection", async () => {
    for (const fault of [
      (id: number) => widen(id, 0),
      (id: number) => widen(id, 0x7fff_ffff),
      (id: number) => data(id, "x"),
      (id: number) => headers(id, ["x", "y"]),
    ]) {
      const flood = times(2_000, (at) =>
        Buffer.concat([headers(2 * at + 1, get()), fault(2 * at + 1)]),
      );
      const attacked = await attack({ onExchange: () => undefined }, flood);
      await assertGoaway(attacked, ENHANCE_YOUR_CALM);
      assert.ok(attacked.lab.exchanges.length <= 600);
    }
  });

  it("requests above the limit of streams, again and again, end the connection", async () => {
    const options = { limits: { maxStreams: 10 }, onExchange: () => undefined };
    const attacked = await attack(
      options,
      times(2_000, (at) => headers(2 * at + 1, get())),
    );
    await assertGoaway(attacked, ENHANCE_YOUR_CALM);
    assert.equal(attacked.lab.exchanges.length, 10);
  });

  it("CONTINUATION flood (CVE-2024-27316, VU#421644) ends the connection", async () => {
    const more = frame(FRAME_CONTINUATION, 0, 1, block(["x", "y"]));
    const attacked = await attack(
      {},
      frame(FRAME_HEADERS, 0, 1, block(get())),
      times(100, () => more),
    );
    await assertGoaway(attacked, ENHANCE_YOUR_CALM);
  });

  it("CONTINUATION frames without anything in them end the connection", async () => {
    const more = frame(FRAME_CONTINUATION, 0, 1);
    const attacked = await attack(
      {},
      frame(FRAME_HEADERS, 0, 1),
      times(100, () => more),
    );
    await assertGoaway(attacked, ENHANCE_YOUR_CALM);
  });

  it("SETTINGS flood (CVE-2019-9515) ends the connection", async () => {
    await assertGoaway(
      await attack(
        {},
        times(1_000, () => settings()),
      ),
      ENHANCE_YOUR_CALM,
    );
  });

  it("a SETTINGS frame of thousands of entries (CVE-2020-11080) ends the connection", async () => {
    const entries = Array.from({ length: 2_000 }, () => [3, 100] as const);
    await assertGoaway(await attack({}, settings(...entries)), ENHANCE_YOUR_CALM);
  });

  it("PING flood (CVE-2019-9512) ends the connection", async () => {
    const attacked = await attack(
      {},
      times(5_000, () => ping()),
    );
    await assertGoaway(attacked, ENHANCE_YOUR_CALM);
    assert.ok(attacked.peer.lines.filter((line) => line.startsWith("ping ack")).length <= 1_100);
  });

  it("PRIORITY flood (CVE-2019-9513, resource loop) ends the connection", async () => {
    const flood = times(5_000, (at) => priority(2 * (at % 100) + 1, 201));
    await assertGoaway(await attack({}, flood), ENHANCE_YOUR_CALM);
  });

  it("empty DATA frames (CVE-2019-9518) end the connection", async () => {
    const flood = times(1_000, () => data(1, ""));
    await assertGoaway(await attack({}, headers(1, post(), false), flood), ENHANCE_YOUR_CALM);
  });

  it("DATA frames of nothing but padding (CVE-2019-9518) end the connection", async () => {
    const flood = times(1_000, () => frame(FRAME_DATA, FLAG_PADDED, 1, [1, 0]));
    await assertGoaway(await attack({}, headers(1, post(), false), flood), ENHANCE_YOUR_CALM);
  });

  it("WINDOW_UPDATE flood ends the connection", async () => {
    await assertGoaway(
      await attack(
        {},
        times(5_000, () => widen(0, 1)),
      ),
      ENHANCE_YOUR_CALM,
    );
  });

  it("frames of unknown types, GOAWAY and acknowledgements without end end the connection", async () => {
    for (const useless of [
      frame(0x77, 0, 0, "abc"),
      frame(FRAME_GOAWAY, 0, 0, Buffer.alloc(8)),
      frame(FRAME_SETTINGS, 1, 0),
      frame(FRAME_PING, 1, 0, "12345678"),
    ]) {
      await assertGoaway(
        await attack(
          {},
          times(5_000, () => useless),
        ),
        ENHANCE_YOUR_CALM,
      );
    }
  });

  it("many uploads that are turned away at once are no flood", async () => {
    const lab = await serverLab({
      onExchange: (exchange) => {
        if (exchange.stream.id === 401) return hello(exchange);
        exchange.consumes = false;
        setImmediate(() => {
          exchange.answer("no");
          exchange.stream.reset(NO_ERROR);
        });
      },
    });
    const peer = await FramePeer.greet(lab.port);
    for (let id = 1; id < 400; id += 2) {
      const window = times(16, () => data(id, Buffer.alloc(4_096)));
      peer.send(headers(id, post(), false), window, headers(id, ["x", "y"]));
    }
    peer.send(headers(401, get()));
    await peer.until(/^data 401 5 last/);
  });

  it("frames for a stream that was reset are ignored, but not without end", async () => {
    const flood = times(5_000, () => reset(1));
    await assertGoaway(await attack({}, headers(1, get()), flood), ENHANCE_YOUR_CALM);
  });
});

describe("memory", () => {
  it("a client that does not read (CVE-2019-9517) is not read any more, and given up", async () => {
    const clock = new FakeClock(1_000);
    const large = "x".repeat(8_000);
    const lab = await serverLab({
      clock,
      onExchange: (exchange) => {
        exchange.onComplete = () => exchange.stream.sendHead([":status", "200", "x", large], true);
      },
    });
    const peer = await FramePeer.greet(lab.port);
    const session = await lab.session();
    peer.socket.pause();
    // 160 MB of answers, asked for by 0.5 MB.
    peer.send(times(20_000, (at) => headers(2 * at + 1, get())));
    const most = { bytes: 0 };
    await untilStill(() => {
      most.bytes = Math.max(most.bytes, session.queuedBytes);
      return lab.exchanges.length;
    }, 200);
    assert.ok(lab.exchanges.length < 20_000, "held back");
    assert.ok(most.bytes < 1_500_000, `${most.bytes} bytes are queued`);
    pass(lab, clock, 35);
    await until(() => lab.ends.length === 1, { what: "the session's end" });
  });

  it("a client that reads slowly is not taken for one that says nothing", async () => {
    const clock = new FakeClock(1_000);
    const limits = { pingIntervalMs: 2_000, pingTimeoutMs: 2_000 };
    const large = "x".repeat(8_000);
    const lab = await serverLab({
      clock,
      limits,
      onExchange: (exchange) => {
        exchange.onComplete = () => exchange.stream.sendHead([":status", "200", "x", large], true);
      },
    });
    const peer = await FramePeer.greet(lab.port);
    const session = await lab.session();
    peer.socket.pause();
    peer.send(times(4_000, (at) => headers(2 * at + 1, get())));
    await untilStill(() => lab.exchanges.length, 200);
    pass(lab, clock, 20);
    assert.equal(session.state, "open");
    peer.socket.resume();
    await peer.until(/^headers 7999 .*last|^reset 7999/);
  });

  it("acknowledgements for a client that does not read (CVE-2019-9512, 9515) are bounded", async () => {
    const lab = await serverLab({ onExchange: () => undefined });
    const peer = await FramePeer.greet(lab.port, headers(1, post(), false));
    const session = await lab.session();
    peer.socket.pause();
    // Each byte of content pays for a PING.
    const both = Buffer.concat([data(1, "x"), ping()]);
    peer.send(times(400_000, () => both));
    await untilStill(() => lab.exchanges[0]?.bytes ?? 0, 200);
    assert.ok(session.queuedBytes < 400_000, `${session.queuedBytes} bytes are queued`);
  });

  it("what a handler does not consume is bounded by the stream's window", async () => {
    const limits = { streamWindowBytes: 65_535 };
    const lab = await serverLab({ limits, onExchange: withhold });
    const peer = await FramePeer.greet(lab.port, headers(1, post(), false));
    peer.send(times(10, () => data(1, Buffer.alloc(16_384))));
    await peer.until(/^reset 1 /);
    assert.ok(peer.lines.includes(`reset 1 ${FLOW_CONTROL_ERROR}`));
    assert.ok((lab.exchanges[0]?.bytes ?? 0) <= 65_535);
    assert.equal(lab.sessions[0]?.queuedBytes, 0, "it counts no longer");
  });

  it("what all handlers do not consume is bounded for the connection", async () => {
    const limits = {
      unreadBytes: 200_000,
      streamWindowBytes: 65_535,
      connectionWindowBytes: 65_535,
    };
    const lab = await serverLab({ limits, onExchange: withhold });
    const peer = await FramePeer.greet(lab.port);
    const session = await lab.session();
    const streams = Array.from({ length: 40 }, (_, at) => 2 * at + 1);
    peer.send(...streams.map((id) => headers(id, post(), false)));
    const granted = () =>
      peer.lines.reduce(
        (sum, line) => sum + (line.startsWith("window 0 ") ? Number(line.split(" ")[2]) : 0),
        65_535,
      );
    let sent = 0;
    for (const id of streams) {
      if (granted() - sent < 16_384) {
        await untilStill(granted, 100);
        if (granted() - sent < 16_384) break;
      }
      peer.send(data(id, Buffer.alloc(16_384)));
      sent += 16_384;
      await until(() => session.queuedBytes >= sent, { what: "the content" });
    }
    assert.ok(sent < 300_000, `${sent} bytes were taken`);
    for (const exchange of lab.exchanges) exchange.stream.consumed(exchange.bytes);
    await until(() => granted() - sent >= 32_000, { what: "new credit" });
    assert.equal(session.queuedBytes, 0);
  });

  it("what many share is not held up by who does not read: the stream with most unread is given up", async () => {
    const limits = {
      ...{ unreadBytes: 100_000, shedsUnread: true },
      ...{ streamWindowBytes: 65_535, connectionWindowBytes: 200_000 },
    };
    const lab = await serverLab({ limits, onExchange: withhold });
    const peer = await FramePeer.greet(lab.port);
    const session = await lab.session();
    const send = async (id: number, bytes: number) => {
      const before = session.queuedBytes;
      peer.send(data(id, Buffer.alloc(bytes)));
      return before + bytes;
    };
    peer.send(...[1, 3, 5, 7].map((id) => headers(id, post(), false)));
    await until(() => lab.exchanges.length === 4);
    for (const [id, bytes] of [
      [1, 16_000],
      [3, 16_000],
      [3, 16_000],
      [5, 16_000],
      [7, 16_000],
    ] as const) {
      const all = await send(id, bytes);
      await until(() => session.queuedBytes === all);
    }
    assert.doesNotMatch(peer.lines.join(), /reset/);
    await send(5, 16_000);
    await send(1, 10_000);
    await peer.until(/^reset /);
    const resets = () => peer.lines.filter((line) => line.startsWith("reset "));
    assert.match(resets().join(), new RegExp(`^reset [35] ${ENHANCE_YOUR_CALM}$`));
    await until(() => session.queuedBytes <= 100_000);
    assert.equal(resets().length, 1);
    assert.equal(session.state, "open");
  });

  it("HPACK bomb (CVE-2016-6581): one large entry, referred to thousands of times, is answered by 431", async () => {
    const entry = Buffer.concat([Buffer.of(0x40), block(["x", "y".repeat(4_000)]).subarray(1)]);
    const bomb = Buffer.concat([entry, Buffer.alloc(12_000, 0xbe)]);
    const { peer } = await attack(
      {},
      frame(FRAME_HEADERS, FLAG_END_HEADERS | FLAG_END_STREAM, 1, bomb),
    );
    await peer.until(/^headers 1 :status=431/);
    peer.send(headers(3, get()));
    await peer.until(/^data 3 5 last/);
  });

  it("a field block that cannot be decoded ends the connection", async () => {
    for (const bytes of [[0x80], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff], [0x3f, 0xe2, 0x1f]]) {
      const broken = frame(FRAME_HEADERS, FLAG_END_HEADERS | FLAG_END_STREAM, 1, bytes);
      await assertGoaway(await attack({}, broken), COMPRESSION_ERROR);
    }
  });

  it("the announced size of a HPACK table is not ours to fill (CVE-2016-1544)", async () => {
    const { peer } = await attack({}, settings([SETTINGS_HEADER_TABLE_SIZE, 0xffff_ffff]));
    for (let id = 1; id < 20; id += 2) peer.send(headers(id, get()));
    await peer.until(/^data 19 5 last/);
  });

  it("a frame beyond SETTINGS_MAX_FRAME_SIZE ends the connection", async () => {
    const attacked = await attack({}, headers(1, post(), false), data(1, Buffer.alloc(16_385)));
    await assertGoaway(attacked, FRAME_SIZE_ERROR);
  });

  it("a head beyond the limits is answered by 431, and the connection goes on", async () => {
    const many = Array.from({ length: 400 }, (_, at) => (at % 2 === 0 ? `x${at}` : "y"));
    const long = ["x", "y".repeat(10_000)];
    for (const fields of [many, long]) {
      const { lab, peer } = await attack({ limits: { headBytes: 8_192 } });
      peer.send(headers(1, get("/", ...fields)));
      await peer.until(/^headers 1 :status=431 .*last/);
      peer.send(headers(3, post("x", "y".repeat(10_000)), false), data(3, "x"));
      await peer.until(/^headers 3 :status=431 .*last/);
      assert.equal(await peer.until(/^reset/), `reset 3 ${NO_ERROR}`);
      peer.send(headers(5, get()));
      await peer.until(/^data 5 5 last/);
      assert.equal(lab.exchanges.length, 1);
      assert.equal(lab.sessions[0]?.openStreams, 0);
      assert.equal(lab.refused[0]?.[0], NO_ERROR);
    }
  });

  it("a head far beyond the limits ends the connection", async () => {
    const limits = { headBytes: 8_192 };
    const first = frame(FRAME_HEADERS, 0, 1, block(get("/", "x", "y".repeat(16_000))));
    const more = frame(FRAME_CONTINUATION, 0, 1, block(["x", "y".repeat(16_000)]));
    const attacked = await attack({ limits, clock: new FakeClock() }, first, more, more);
    await assertGoaway(attacked, ENHANCE_YOUR_CALM);
  });
});

describe("flow control as a weapon", () => {
  it("a window beyond 2^31-1 is an error: of the connection, of a stream, by SETTINGS", async () => {
    await assertGoaway(await attack({}, widen(0, 0x7fff_ffff)), FLOW_CONTROL_ERROR);
    const silent = { onExchange: () => undefined };
    const { peer } = await attack({}, headers(1, post(), false), widen(1, 0x7fff_ffff));
    await assertReset(peer, 1, FLOW_CONTROL_ERROR);
    const bySettings = [
      headers(1, get()),
      widen(1, 0x7fff_ffff - 65_535),
      settings([SETTINGS_INITIAL_WINDOW_SIZE, 65_536]),
    ];
    await assertGoaway(await attack(silent, ...bySettings), FLOW_CONTROL_ERROR);
    const tooLarge = settings([SETTINGS_INITIAL_WINDOW_SIZE, 0x8000_0000]);
    await assertGoaway(await attack({}, tooLarge), FLOW_CONTROL_ERROR);
  });

  it("a WINDOW_UPDATE of 0 is an error: of the connection, of a stream", async () => {
    await assertGoaway(await attack({}, widen(0, 0)), PROTOCOL_ERROR);
    const { peer } = await attack({}, headers(1, post(), false), widen(1, 0));
    await assertReset(peer, 1, PROTOCOL_ERROR);
  });

  it("a window smaller than the protocol's holds from the acknowledgement on", async () => {
    const lab = await serverLab({
      limits: { streamWindowBytes: 1_000 },
      onExchange: withhold,
    });
    const fourTimes = (id: number) => times(4, () => data(id, Buffer.alloc(16_383)));
    const peer = await FramePeer.open(
      lab.port,
      settings(),
      headers(1, post(), false),
      fourTimes(1),
    );
    await until(() => lab.exchanges[0]?.bytes === 65_532, { what: "the content" });
    peer.send(frame(FRAME_SETTINGS, 1, 0), headers(3, post(), false), fourTimes(3));
    assert.equal(await peer.until(/^reset/), `reset 3 ${FLOW_CONTROL_ERROR}`);
  });

  it("content beyond the connection's window ends the connection", async () => {
    const limits = { connectionWindowBytes: 65_535, unreadBytes: 0, streamWindowBytes: 1_000_000 };
    const lab = await serverLab({ limits, onExchange: withhold });
    const peer = await FramePeer.greet(lab.port, headers(1, post(), false));
    peer.send(times(10, () => data(1, Buffer.alloc(16_384))));
    await assertGoaway({ lab, peer }, FLOW_CONTROL_ERROR);
  });

  it("zero-window stall, data dribble (CVE-2019-9511): a stream whose client takes nothing is given up, others go on", async () => {
    const clock = new FakeClock(1_000);
    const lab = await serverLab({ clock });
    const peer = await FramePeer.greet(
      lab.port,
      settings([SETTINGS_INITIAL_WINDOW_SIZE, 0]),
      headers(1, get()),
    );
    await peer.until(/^headers 1 /);
    pass(lab, clock, 20);
    peer.send(headers(3, get()), widen(3, 100));
    await peer.until(/^data 3 5 last/);
    assert.equal(lab.sessions[0]?.openStreams, 1);
    pass(lab, clock, 12);
    assert.equal(await peer.until(/^reset 1 /), `reset 1 ${CANCEL}`);
    assert.deepEqual(lab.exchanges[0]?.resets, [[CANCEL, false]]);
    assert.equal(lab.sessions[0]?.queuedBytes, 0);
  });

  it("a client that keeps answered requests open loses them", async () => {
    const clock = new FakeClock(1_000);
    const lab = await serverLab({
      clock,
      onExchange: (exchange) => setImmediate(() => exchange.answer("early")),
    });
    const peer = await FramePeer.greet(lab.port, headers(1, post(), false));
    await peer.until(/^data 1 5 last/);
    pass(lab, clock, 32);
    await peer.until(/^reset 1 /);
    assert.equal(lab.sessions[0]?.openStreams, 0);
  });
});

describe("slow clients", () => {
  it("a client without a preface is given up", async () => {
    const clock = new FakeClock(1_000);
    const lab = await serverLab({ clock });
    const peer = await FramePeer.open(lab.port);
    await lab.session();
    pass(lab, clock, 12);
    await assertGoaway({ lab, peer }, PROTOCOL_ERROR);
  });

  it("Slowloris: a field section that does not end is given up", async () => {
    const clock = new FakeClock(1_000);
    const lab = await serverLab({ clock });
    const peer = await FramePeer.greet(
      lab.port,
      frame(FRAME_HEADERS, 0, 1, block(get())),
      Buffer.alloc(4),
    );
    await peer.until(/^settings ack/);
    pass(lab, clock, 12);
    await assertGoaway({ lab, peer }, ENHANCE_YOUR_CALM);
  });

  it("a client that does not acknowledge our SETTINGS is given up", async () => {
    const clock = new FakeClock(1_000);
    const lab = await serverLab({ clock });
    const peer = await FramePeer.open(lab.port, settings());
    await peer.until(/^settings ack/);
    pass(lab, clock, 12);
    await assertGoaway({ lab, peer }, SETTINGS_TIMEOUT);
  });

  it("a client that is idle is sent away", async () => {
    const clock = new FakeClock(1_000);
    const lab = await serverLab({ clock });
    const peer = await FramePeer.greet(lab.port, headers(1, get()));
    await peer.until(/^data 1 5 last/);
    pass(lab, clock, 62);
    await peer.until(/^goaway 2147483647 0/);
    pass(lab, clock, 2);
    await peer.until(/^goaway 1 0/);
    await peer.untilClosed();
  });
});

describe("frames out of place", () => {
  it("an HTTP/1.1 request, and a preface that is cut short, end the connection", async () => {
    const lab = await serverLab();
    for (const text of [
      "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      `${CLIENT_PREFACE.slice(0, 20)}xxxx`,
    ]) {
      const raw = new FramePeer(connect(lab.port, "127.0.0.1"));
      raw.send(Buffer.from(text, "latin1"));
      assert.match(await raw.until(/^goaway/), / 1 /);
      await raw.untilClosed();
    }
  });

  it("what must never come ends the connection with the code of the rule", async () => {
    const cases: [string, Buffer[], number][] = [
      ["an even stream", [headers(2, get())], PROTOCOL_ERROR],
      ["a stream behind a later one", [headers(5, get()), headers(3, get())], PROTOCOL_ERROR],
      ["DATA on an idle stream", [data(1, "x")], PROTOCOL_ERROR],
      ["RST_STREAM on an idle stream", [reset(1)], PROTOCOL_ERROR],
      ["WINDOW_UPDATE on an idle stream", [widen(1, 1)], PROTOCOL_ERROR],
      ["PUSH_PROMISE", [frame(0x5, 4, 1, word(2))], PROTOCOL_ERROR],
      ["DATA behind a reset", [headers(1, post(), false), reset(1), data(1, "x")], STREAM_CLOSED],
      ["HEADERS behind a reset", [headers(1, get()), reset(1), headers(1, get())], STREAM_CLOSED],
      ["a dependency on itself", [priority(1, 1)], PROTOCOL_ERROR],
      ["ENABLE_PUSH of 2", [settings([2, 2])], PROTOCOL_ERROR],
      ["MAX_FRAME_SIZE of 1", [settings([5, 1])], PROTOCOL_ERROR],
      ["CONNECT_PROTOCOL of 2", [settings([8, 2])], PROTOCOL_ERROR],
      ["CONNECT_PROTOCOL taken back", [settings([8, 1], [8, 0])], PROTOCOL_ERROR],
    ];
    for (const [what, frames, code] of cases) {
      const attacked = await attack({ onExchange: () => undefined }, ...frames);
      await assertGoaway(attacked, code).catch((error) => {
        throw new Error(`${what}: ${error.message}`);
      });
    }
  });

  it("frames before SETTINGS end the connection", async () => {
    const lab = await serverLab();
    for (const first of [headers(1, get()), ping(), widen(0, 1), frame(FRAME_SETTINGS, 1, 0)]) {
      const peer = await FramePeer.open(lab.port, first);
      assert.match(await peer.until(/^goaway/), /^goaway 0 1 no SETTINGS first/);
      await peer.untilClosed();
    }
  });

  it("DATA and HEADERS behind the end of a request reset it", async () => {
    for (const late of [data(1, "x"), data(1, "x", true), headers(1, ["x", "y"])]) {
      const waiting: LabOptions = {
        onExchange: (exchange) => {
          if (exchange.stream.id > 1) hello(exchange);
        },
      };
      const { lab, peer } = await attack(waiting, headers(1, get()), late);
      await assertReset(peer, 1, STREAM_CLOSED);
      assert.equal(lab.exchanges[0]?.bytes, 0);
      assert.deepEqual(lab.exchanges[0]?.resets, [[STREAM_CLOSED, false]]);
    }
  });

  it("late frames for a stream that we have reset are ignored, and its content is credited", async () => {
    const { peer } = await attack({}, headers(1, post(), false), widen(1, 0));
    await peer.until(/^reset 1 /);
    peer.send(
      times(60, () => data(1, Buffer.alloc(16_384))),
      headers(1, ["x", "y"]),
      widen(1, 1),
      reset(1),
      headers(3, get()),
    );
    await peer.until(/^data 3 5 last/);
    assert.ok(
      peer.lines.some((line) => /^window 0 5\d\d\d\d\d$/.test(line)),
      "credit",
    );
  });
});

describe("requests that would become other requests", () => {
  const path = (value: string) => [
    ":method",
    "GET",
    ":scheme",
    "http",
    ":path",
    value,
    ":authority",
    "a",
  ];
  const malformed: [string, string[]][] = [
    ["CR LF in a value (request splitting)", get("/", "x", "a\r\ncontent-length: 5")],
    ["LF in a value", get("/", "x", "a\nb")],
    ["NUL in a value", get("/", "x", "a\0b")],
    ["CR LF in a name", get("/", "x\r\ny", "a")],
    ["CR LF in :path", path("/ HTTP/1.1\r\nx: y")],
    ["CR LF in :method", [":method", "GET / HTTP/1.1\r\nx: y\r\n\r\nGET", ...get().slice(2)]],
    ["CR LF in :authority", [...get().slice(0, 7), "a\r\nx: y"]],
    ["white space before a value", get("/", "x", " a")],
    ["white space behind a value", get("/", "x", "a\t")],
    ["upper case in a name", get("/", "X", "a")],
    ["an empty name (CVE-2019-9516)", get("/", "", "a")],
    ["a colon in a name", get("/", "x:y", "a")],
    ["a host other than :authority", get("/", "host", "b")],
    ["userinfo in :authority", [...get().slice(0, 7), "u@a"]],
    ["transfer-encoding", get("/", "transfer-encoding", "chunked")],
    ["connection", get("/", "connection", "x-forwarded-for")],
    ["keep-alive", get("/", "keep-alive", "1")],
    ["proxy-connection", get("/", "proxy-connection", "close")],
    ["upgrade", get("/", "upgrade", "websocket")],
    ["te other than trailers", get("/", "te", "gzip")],
    ["content-length twice", get("/", "content-length", "0", "content-length", "1")],
    ["content-length that is no number", get("/", "content-length", "+0")],
    ["content-length without content", get("/", "content-length", "5")],
    ["no :method", get().slice(2)],
    ["no :path", [...get().slice(0, 4), ":authority", "a"]],
    ["an empty :path", path("")],
    [":path twice", [...get(), ":path", "/"]],
    ["a pseudo-field behind a field", ["x", "y", ...get()]],
    ["an unknown pseudo-field", [...get(), ":x", "y"]],
    ["a pseudo-field of responses", [...get(), ":status", "200"]],
    [":protocol without CONNECT", [...get(), ":protocol", "websocket"]],
  ];
  for (const [what, fields] of malformed) {
    it(`${what} is malformed`, async () => {
      const { lab, peer } = await attack({}, headers(1, fields));
      await assertReset(peer, 1, PROTOCOL_ERROR);
      assert.equal(lab.exchanges.length, 1, "only the good one");
      assert.equal(lab.refused[0]?.[0], PROTOCOL_ERROR);
    });
  }

  it("content that is more or less than content-length is malformed", async () => {
    const length = post("content-length", "5");
    const cases: Buffer[][] = [
      [headers(1, length, false), data(1, "123456")],
      [headers(1, length, false), data(1, "1234", true)],
      [headers(1, length, false), data(1, "123"), data(1, "456", true)],
      [headers(1, length, false), data(1, "1234"), headers(1, ["x", "y"])],
    ];
    for (const frames of cases) {
      const { lab, peer } = await attack({ onExchange: echo }, ...frames);
      await peer.until(/^reset 1 1$/);
      assert.equal(lab.exchanges[0]?.complete, false, "the request must not be taken for whole");
      assert.deepEqual(lab.exchanges[0]?.resets, [[PROTOCOL_ERROR, false]]);
    }
    const { peer } = await attack(
      {},
      headers(1, length, false),
      data(1, "12"),
      data(1, "345", true),
    );
    await peer.until(/^data 1 5 last/);
  });

  it("trailers with pseudo-fields, fields of the connection, or without the end are malformed", async () => {
    const cases: Buffer[] = [
      headers(1, [":path", "/"]),
      headers(1, ["transfer-encoding", "chunked"]),
      headers(1, ["x", "a\r\nb"]),
      headers(1, ["x", "y"], false),
    ];
    for (const trailers of cases) {
      const { lab, peer } = await attack({}, headers(1, post(), false), data(1, "x"), trailers);
      await peer.until(/^reset 1 1$/);
      assert.equal(lab.exchanges[0]?.complete, false);
    }
  });
});
