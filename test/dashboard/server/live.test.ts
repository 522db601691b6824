import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { it } from "node:test";
import { FakeClock } from "../../../src/core/clock.ts";
import type { TapItem } from "../../../src/sight/tap-event.ts";
import { HandTimers } from "../../helpers/hand-timers.ts";
import { until } from "../../helpers/until.ts";
import { Browser, collect, rawAnswer, reportAt, startLab, usersFile } from "./dashboard-lab.ts";

const ITEM: TapItem = { type: "skipped", host: "h1", events: 3 };

it("a page gets a report at once and every round, and nobody is asked once it is gone", async (t) => {
  const { origin, sight, dashboard } = await startLab(t);
  assert.equal(sight.watchers.size, 0);
  const [one, two] = [await new Browser(origin).live(), await new Browser(origin).live()];
  await until(() => one.messages.length === 1 && two.messages.length === 1);
  assert.deepEqual(one.messages, [{ type: "report", report: reportAt(1) }]);
  assert.equal(sight.watchers.size, 1, "one watch for all pages");
  sight.tell(reportAt(2));
  await until(() => one.messages.length === 2 && two.messages.length === 2);
  assert.equal(two.messages[1].report.atMs, 2);
  assert.equal(dashboard.figures().pages, 2);
  one.client.close();
  two.client.terminate();
  await until(() => sight.watchers.size === 0);
  assert.equal(dashboard.figures().pages, 0);
});

it("taps begin, are replaced and end with the page", async (t) => {
  const { origin, sight, log } = await startLab(t);
  const page = await new Browser(origin).live();
  page.say({ type: "tap", filter: { destination: "shop/cart", status: "5xx" } });
  await until(() => sight.taps.length === 1);
  assert.deepEqual(sight.taps[0]?.filter, { destination: "shop/cart", status: "5xx" });
  sight.taps[0]?.onItem(ITEM);
  await until(() => page.messages.some(({ type }) => type === "tap"));
  assert.deepEqual(page.messages.at(-1), { type: "tap", item: ITEM });
  page.say({ type: "tap", filter: {} });
  await until(() => sight.taps.length === 2);
  assert.equal(sight.taps[0]?.isOver, true);
  page.say({ type: "tap-end" });
  await until(() => sight.taps[1]?.isOver === true);
  page.say({ type: "tap", filter: {} });
  await until(() => sight.taps.length === 3);
  for (const reason of ["the host is gone", null]) {
    sight.taps.at(-1)?.onEnd(reason);
    const ends = () => page.messages.filter(({ type }) => type === "tap-end");
    await until(() => ends().at(-1)?.reason === reason);
    page.say({ type: "tap", filter: {} });
    await until(
      () => sight.taps.at(-1)?.isOver === false && sight.taps.length === (reason ? 4 : 5),
    );
  }
  page.client.terminate();
  await until(() => sight.taps.every(({ isOver }) => isOver));
  assert.equal(log.lines.filter(({ message }) => message === "dashboard tap").length, 5);
});

it("bad messages are told, and harm nobody", async (t) => {
  const { origin, sight } = await startLab(t);
  const page = await new Browser(origin).live();
  await until(() => page.messages.length === 1);
  for (const bad of [
    "{",
    '"tap"',
    '{"type":"rm"}',
    '{"type":"tap","filter":{"status":"9xx"}}',
    '{"type":"tap","filter":{"x":1}}',
    '{"type":"tap","filter":{"__proto__":{}}}',
  ]) {
    const before = page.messages.length;
    page.say(bad);
    await until(() => page.messages.length > before);
    assert.equal(page.messages.at(-1).type, "error", bad);
  }
  assert.equal(sight.taps.length, 0);
  page.client.send("x".repeat(20_000));
  await until(() => page.closed !== null);
  const [other] = [await new Browser(origin).live()];
  for (let index = 0; index < 40; index++) other.say("{}");
  await until(() => other.closed !== null);
  assert.deepEqual(other.closed, { code: 1008, reason: "too many messages" });
});

it("handshakes of other origins, of nobody and of other paths are refused", async (t) => {
  const { path, tokens } = await usersFile(t, { ann: { role: "viewer" } });
  const { origin, dashboard } = await startLab(t, { usersFile: path });
  const browser = new Browser(origin);
  await assert.rejects(browser.live(), /401/);
  await browser.login(tokens["ann"] ?? "");
  await assert.rejects(browser.live({ origin: "http://evil.example" }), /403/);
  await assert.rejects(browser.live({ origin: "" }), /403/);
  const page = await browser.live();
  page.client.terminate();
  const head = (target: string, more = "") =>
    `GET ${target} HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n${more}\r\n`;
  assert.match(await rawAnswer(dashboard.port, head("/api/report")), /^HTTP\/1.1 404/);
  assert.match(await rawAnswer(dashboard.port, head("/api/live")), /^HTTP\/1.1 403/);
  assert.ok((dashboard.figures().refusals.get("foreign origin") ?? 0) >= 3);
  const lingering = connect({ port: dashboard.port, host: "127.0.0.1", allowHalfOpen: true });
  lingering.write(head("/api/live"));
  const ended = once(lingering, "end");
  lingering.resume();
  await ended;
  // The server has closed both directions: what is sent now meets a reset.
  const broken = once(lingering, "error");
  const again = setInterval(() => lingering.write("x"), 5);
  await broken.finally(() => clearInterval(again));
});

it("a viewer taps only where the users file allows it", async (t) => {
  const users = { vic: { role: "viewer" }, tom: { role: "viewer", tap: true } };
  const { path, tokens } = await usersFile(t, users);
  const { origin, sight, dashboard } = await startLab(t, { usersFile: path });
  const vic = new Browser(origin);
  await vic.login(tokens["vic"] ?? "");
  const page = await vic.live();
  page.say({ type: "tap", filter: {} });
  await until(() => page.messages.some(({ type }) => type === "error"));
  assert.match(page.messages.at(-1).message, /needs the role editor, or tap: true/);
  assert.equal(dashboard.figures().refusals.get("role"), 1);
  const tom = new Browser(origin);
  await tom.login(tokens["tom"] ?? "");
  const allowed = await tom.live();
  allowed.say({ type: "tap", filter: {} });
  await until(() => sight.taps.length === 1);
});

it("a page ends with its login", async (t) => {
  const { path, tokens } = await usersFile(t, { ann: { role: "editor" } });
  const clock = new FakeClock(1_000);
  const limits = { sessionIdleMs: 10_000, sessionMaxMs: 15_000 };
  const { origin, sight } = await startLab(t, { usersFile: path, clock, ...limits });
  const browser = new Browser(origin);
  await browser.login(tokens["ann"] ?? "");
  const page = await browser.live();
  page.say({ type: "tap", filter: {} });
  await until(() => sight.taps.length === 1 && page.messages.length > 0);
  for (const atMs of [2, 3]) {
    clock.advance(7_000);
    sight.tell(reportAt(atMs));
    await until(() => page.messages.at(-1).report?.atMs === atMs);
  }
  assert.equal(page.closed, null, "an open page is a use of its login");
  clock.advance(1_000);
  sight.tell(reportAt(4));
  await until(() => page.closed !== null);
  assert.deepEqual(page.closed, { code: 1008, reason: "the login has ended" });
  assert.equal(sight.taps[0]?.isOver, true);
});

it("garbled frames end their connection alone", async (t) => {
  const { origin, dashboard, sight } = await startLab(t);
  const other = await new Browser(origin).live();
  const key = Buffer.alloc(16, 1).toString("base64");
  const head = `GET /api/live HTTP/1.1\r\nhost: ${origin.slice(7)}\r\norigin: ${origin}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${key}\r\n\r\n`;
  for (const frame of [
    [0x81, 0x05, 1, 2, 3, 4, 5], // not masked
    [0xf1, 0x80, 0, 0, 0, 0], // reserved bits
    [0x83, 0x80, 0, 0, 0, 0], // unknown opcode
    [0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], // longer than can be
    [0x81, 0x81, 0, 0, 0, 0, 0xff], // no UTF-8
    [0x09, 0x80, 0, 0, 0, 0], // a ping in pieces
  ]) {
    const answer = await rawAnswer(
      dashboard.port,
      Buffer.concat([Buffer.from(head), Buffer.from(frame)]),
    );
    assert.match(answer, /^HTTP\/1.1 101 /);
  }
  await until(() => dashboard.figures().pages === 1);
  sight.tell(reportAt(9));
  await until(() => other.messages.at(-1)?.report.atMs === 9);
});

it("a page that reads nothing, or answers no ping, is dropped", async (t) => {
  const hand = new HandTimers();
  const { origin, dashboard, sight } = await startLab(t, {
    ...{ timers: { after: hand.start }, pingMs: 1_000, maxBufferedBytes: 65_536 },
  });
  const page = await new Browser(origin).live();
  const answered = once(page.client, "ping");
  hand.advance(1_000);
  await answered;
  const silent = new Browser(origin);
  const key = Buffer.alloc(16, 1).toString("base64");
  const socket = connect(dashboard.port, "127.0.0.1");
  socket.write(
    `GET /api/live HTTP/1.1\r\nhost: ${origin.slice(7)}\r\norigin: ${origin}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${key}\r\n\r\n`,
  );
  await until(() => dashboard.figures().pages === 2);
  const closed = collect(socket);
  await until(async () => {
    hand.advance(1_000);
    await silent.open();
    return dashboard.figures().pages === 1;
  });
  await closed;
  page.say({ type: "tap", filter: {} });
  await until(() => sight.taps.length === 1);
  page.client.pause();
  const large: TapItem = { type: "skipped", host: "x".repeat(1_000_000), events: 1 };
  await until(async () => {
    sight.taps[0]?.onItem(large);
    await silent.open();
    return dashboard.figures().pages === 0;
  });
  assert.equal(dashboard.figures().refusals.get("slow reader"), 1);
  page.client.terminate();
});
