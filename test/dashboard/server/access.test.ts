import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { FakeClock } from "../../../src/core/clock.ts";
import { HandTimers } from "../../helpers/hand-timers.ts";
import { until } from "../../helpers/until.ts";
import { Browser, rawAnswer, startLab, usersFile } from "./dashboard-lab.ts";

describe("without users, on loopback", () => {
  it("everybody who reaches it is an editor", async (t) => {
    const { origin } = await startLab(t);
    const session = await new Browser(origin).open();
    assert.deepEqual(
      { ...session, csrf: session.csrf.length },
      { user: null, role: "editor", mayTap: true, loginNeeded: false, csrf: 43 },
    );
  });

  it("a request for a name that is not this machine's is refused: DNS may have been rebound", async (t) => {
    const { dashboard, log } = await startLab(t);
    const ask = (host: string, path = "/api/report") =>
      rawAnswer(
        dashboard.port,
        `GET ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`,
      );
    for (const host of [
      "evil.example",
      `evil.example:${dashboard.port}`,
      "10.0.0.1",
      "127.evil.example",
    ]) {
      assert.match(await ask(host), /^HTTP\/1.1 421 /, host);
      assert.match(await ask(host, "/"), /^HTTP\/1.1 421 /, host);
    }
    for (const host of ["localhost", `127.0.0.1:${dashboard.port}`, "[::1]:80", "127.9.9.9"]) {
      assert.match(await ask(host), /^HTTP\/1.1 200 /, host);
    }
    assert.equal(dashboard.figures().refusals.get("foreign host"), 8);
    const told = log.lines.filter(({ level }) => level === "warn");
    assert.equal(told[0]?.facts?.["reason"], "foreign host");
    assert.ok(told.length >= 5 && told.length <= 8);
  });

  it("a change needs our own origin and the token against forgery", async (t) => {
    const { origin } = await startLab(t);
    const browser = new Browser(origin);
    await browser.open();
    const send = (headers: Record<string, string>) =>
      browser.call("POST", "/api/logout", {}, headers);
    assert.equal((await send({})).status, 200);
    for (const foreign of [
      "http://evil.example",
      "null",
      origin.replace("127.0.0.1", "localhost"),
    ]) {
      assert.equal((await send({ origin: foreign })).status, 403, foreign);
    }
    assert.equal((await send({ "x-hostmesh-csrf": "" })).status, 403);
    assert.equal((await send({ "x-hostmesh-csrf": `${browser.csrf}x` })).status, 403);
    browser.csrf = "";
    assert.match((await send({})).body.error, /x-hostmesh-csrf must hold the token/);
    const silent = await fetch(`${origin}/api/logout`, { method: "POST" });
    assert.equal(silent.status, 403);
  });

  it("pages of other sites read nothing", async (t) => {
    const { origin } = await startLab(t);
    const read = (headers: Record<string, string>) =>
      new Browser(origin).call("GET", "/api/session", undefined, headers);
    assert.equal((await read({ "sec-fetch-site": "cross-site" })).status, 403);
    assert.equal((await read({ "sec-fetch-site": "same-site" })).status, 403);
    assert.equal((await read({ origin: "http://evil.example" })).status, 403);
    assert.equal((await read({ "sec-fetch-site": "same-origin", origin })).status, 200);
    assert.equal((await read({ "sec-fetch-site": "none" })).status, 200);
  });
});

describe("with users", () => {
  it("nothing but the page and the session is there before a login, and a role is held to", async (t) => {
    const { path, tokens } = await usersFile(t, {
      ann: { role: "editor" },
      vic: { role: "viewer" },
    });
    const { origin, log } = await startLab(t, { usersFile: path });
    const browser = new Browser(origin);
    const before = await browser.open();
    assert.deepEqual([before.user, before.role, before.loginNeeded], [null, null, true]);
    assert.equal((await browser.call("GET", "/")).status, 200);
    for (const url of ["/api/report", "/api/config", "/api/services/a/b/split", "/api/hosts/h"]) {
      assert.equal((await browser.call("GET", url)).status, 401, url);
    }
    const answer = await browser.login(tokens["vic"] ?? "");
    assert.equal(answer.status, 200);
    const cookie = answer.headers.get("set-cookie") ?? "";
    assert.match(
      cookie,
      /^hostmesh_session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=600$/,
    );
    assert.equal((await browser.call("GET", "/api/report")).status, 200);
    const body = { backends: [{ name: "a", weight: 1 }], revision: 0 };
    const refused = await browser.call("PUT", "/api/services/a/b/split", body);
    assert.equal(refused.status, 403);
    assert.match(refused.body.error, /needs the role editor; vic has viewer/);
    assert.equal((await browser.call("GET", "/api/status")).status, 403);
    const ann = new Browser(origin);
    await ann.login(tokens["ann"] ?? "");
    const { sessions, pages, refusals } = (await ann.call("GET", "/api/status")).body;
    assert.deepEqual([sessions, pages, refusals["role"]], [2, 0, 2]);
    const lines = log.lines.map(({ message, facts }) => `${message} ${facts?.["reason"] ?? ""}`);
    assert.ok(lines.includes("dashboard login "));
    assert.ok(lines.includes("the dashboard refused a request role"));
    const written = JSON.stringify(log.lines);
    assert.ok(!written.includes(tokens["vic"]?.split(".")[1] ?? ""), "a token is in the log");
  });

  it("a logout ends the session on the server too, and another token against forgery holds", async (t) => {
    const { path, tokens } = await usersFile(t, { ann: { role: "editor" } });
    const { origin, dashboard } = await startLab(t, { usersFile: path });
    const browser = new Browser(origin);
    const anonymous = (await browser.open()).csrf;
    await browser.login(tokens["ann"] ?? "");
    const { cookie, csrf } = browser;
    assert.notEqual(csrf, anonymous);
    assert.equal(dashboard.figures().sessions, 1);
    browser.csrf = anonymous;
    assert.equal((await browser.call("POST", "/api/logout", {})).status, 403);
    browser.csrf = csrf;
    assert.equal((await browser.call("POST", "/api/logout", {})).status, 200);
    assert.equal(browser.cookie, "");
    browser.cookie = cookie;
    assert.equal((await browser.call("GET", "/api/report")).status, 401);
    assert.equal(browser.cookie, "", "the cookie is taken from the browser");
  });

  it("a wrong token is refused, and after ten the address waits a minute, with the right one too", async (t) => {
    const { path, tokens } = await usersFile(t, { ann: { role: "editor" } });
    const clock = new FakeClock(1_000);
    const { origin, dashboard } = await startLab(t, { usersFile: path, clock });
    const browser = new Browser(origin);
    await browser.open();
    const good = tokens["ann"] ?? "";
    const wrong = ["nobody.x", "ann.", "ann", `${good}x`, good.slice(0, -1), "..", "constructor.x"];
    for (const token of [...wrong, "a.b", "a.c", "a.d"]) {
      const { status, body } = await browser.call("POST", "/api/login", { token });
      assert.deepEqual([status, body.error], [401, "the token is not known"], token);
    }
    const late = await browser.call("POST", "/api/login", { token: good });
    assert.deepEqual([late.status, late.headers.get("retry-after")], [429, "60"]);
    assert.equal(dashboard.figures().refusals.get("wrong token"), 10);
    clock.advance(60_000);
    assert.equal((await browser.call("POST", "/api/login", { token: good })).status, 200);
  });

  it("a session ends unused, and at last used or not", async (t) => {
    const { path, tokens } = await usersFile(t, { ann: { role: "editor" } });
    const clock = new FakeClock(1_000);
    const limits = { sessionIdleMs: 10_000, sessionMaxMs: 25_000 };
    const { origin } = await startLab(t, { usersFile: path, clock, ...limits });
    const browser = new Browser(origin);
    const status = async () => (await browser.call("GET", "/api/report")).status;
    await browser.login(tokens["ann"] ?? "");
    clock.advance(9_999);
    assert.equal(await status(), 200);
    clock.advance(9_999);
    assert.equal(await status(), 200);
    clock.advance(5_002);
    assert.equal(await status(), 401, "after all");
    await browser.login(tokens["ann"] ?? "");
    clock.advance(10_000);
    assert.equal(await status(), 401, "unused");
  });

  it("cookies cannot be tried one after the other, and that holds up no good one", async (t) => {
    const { path, tokens } = await usersFile(t, { ann: { role: "viewer" } });
    const { origin, dashboard } = await startLab(t, { usersFile: path });
    const ann = new Browser(origin);
    await ann.login(tokens["ann"] ?? "");
    const statuses: number[] = [];
    for (let index = 0; index < 12; index++) {
      const guesser = new Browser(origin);
      guesser.cookie = `hostmesh_session=guess${index}`;
      statuses.push((await guesser.call("GET", "/api/report")).status);
    }
    assert.deepEqual(statuses, [...Array(10).fill(401), 429, 429]);
    assert.equal(dashboard.figures().refusals.get("unknown session"), 10);
    assert.equal((await ann.call("GET", "/api/report")).status, 200);
  });

  it("a users file is read again: who left is out at once, and a bad one changes nothing", async (t) => {
    const { path, tokens, text } = await usersFile(t, { ann: { role: "editor" } });
    const hand = new HandTimers();
    const timers = { after: hand.start };
    const { origin, log } = await startLab(t, { usersFile: path, timers });
    const browser = new Browser(origin);
    await browser.login(tokens["ann"] ?? "");
    await writeFile(path, "users: [{name: ann");
    hand.advance(5_000);
    await until(() => log.lines.some(({ level }) => level === "error"));
    assert.equal((await browser.call("GET", "/api/report")).status, 200);
    await writeFile(path, text.replace("role: editor", "role: viewer"));
    await until(async () => {
      hand.advance(5_000);
      return (await browser.open()).role === "viewer";
    });
    await writeFile(path, "users: []\n");
    await until(async () => {
      hand.advance(5_000);
      return (await browser.open()).role === null;
    });
  });
});
