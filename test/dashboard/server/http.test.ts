import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { createServer, request as httpRequest } from "node:http";
import { get as httpsGet, request as httpsRequest } from "node:https";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { it } from "node:test";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { dashboardDanger } from "../../../src/dashboard/server/dashboard-danger.ts";
import { HandTimers } from "../../helpers/hand-timers.ts";
import { until } from "../../helpers/until.ts";
import { tempFolder } from "../../registry/setup.ts";
import { Browser, collect, rawAnswer, startLab, usersFile } from "./dashboard-lab.ts";

const SCRIPT = "/assets/index-AbCd1234.js";

it("the page comes with what keeps others out of it", async (t) => {
  const { origin } = await startLab(t);
  for (const path of ["/", SCRIPT, "/api/session", "/api/nothing"]) {
    const { headers } = await new Browser(origin).call("GET", path);
    assert.equal(
      headers.get("content-security-policy"),
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    );
    assert.equal(headers.get("x-content-type-options"), "nosniff");
    assert.equal(headers.get("referrer-policy"), "no-referrer");
    assert.equal(headers.get("cross-origin-opener-policy"), "same-origin");
    assert.equal(headers.get("cross-origin-resource-policy"), "same-origin");
  }
});

it("files have their type, are compressed as the browser takes it, and are not sent twice", async (t) => {
  const { dashboard } = await startLab(t);
  const get = async (path: string, headers: Record<string, string> = {}, method = "GET") => {
    const options = { port: dashboard.port, path, headers, method };
    const request = httpRequest({ host: "127.0.0.1", ...options }).end();
    const [answer] = await once(request, "response");
    const parts: Buffer[] = [];
    for await (const part of answer) parts.push(part);
    return { status: answer.statusCode, headers: answer.headers, body: Buffer.concat(parts) };
  };
  const plain = await get(SCRIPT);
  assert.equal(plain.headers["content-type"], "text/javascript; charset=utf-8");
  assert.equal(plain.headers["cache-control"], "public, max-age=31536000, immutable");
  const small = await get(SCRIPT, { "accept-encoding": "gzip, br" });
  assert.deepEqual(
    [small.headers["content-encoding"], small.headers["vary"]],
    ["br", "accept-encoding"],
  );
  assert.deepEqual(brotliDecompressSync(small.body), plain.body);
  const zipped = await get(SCRIPT, { "accept-encoding": "br;q=0, gzip;q=0.5" });
  assert.deepEqual(gunzipSync(zipped.body), plain.body);
  const etags = [plain, small, zipped].map(({ headers }) => String(headers["etag"]));
  assert.equal(new Set(etags).size, 3);
  const again = await get(SCRIPT, { "if-none-match": `"x", W/${etags[0]}` });
  assert.deepEqual([again.status, again.body.length], [304, 0]);
  assert.equal((await get("/", {})).headers["cache-control"], "no-cache");
  const head = await get(SCRIPT, {}, "HEAD");
  assert.deepEqual([head.status, head.body.length], [200, 0]);
  assert.equal(head.headers["content-length"], String(plain.body.length));
});

it("a path within the page is the page, and no path leads out of its folder", async (t) => {
  const { dashboard } = await startLab(t);
  const ask = (path: string) =>
    rawAnswer(
      dashboard.port,
      `GET ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`,
    );
  assert.match(await ask("/services/shop/cart?x=1"), /200 OK[\s\S]*<title>hostmesh/);
  for (const path of [
    "/../../../package.json",
    "/assets/../../package.json",
    "/%2e%2e/%2e%2e/package.json",
    "/assets/%2e%2e%2f%2e%2e%2fpackage.json",
    "/..%5cpackage.json",
    "//etc/passwd.txt",
    "/index.html%00.js",
    "/assets/",
    "/assets/missing.js",
  ]) {
    const answer = await ask(path);
    assert.match(answer, /^HTTP\/1.1 404 /, path);
    assert.ok(!answer.includes("devDependencies"), path);
  }
  assert.match(await ask("/api"), /404/);
  assert.match(await ask("/api/services/%zz/a"), /400/);
});

it("a head that does not come to its end, and a body that is too large, are not waited for", async (t) => {
  const { dashboard, origin } = await startLab(t, { headTimeoutMs: 200, requestTimeoutMs: 500 });
  const { port } = dashboard;
  assert.match(await rawAnswer(port, "GET / HTTP/1.1\r\nhost: loc"), /408 Request Timeout/);
  assert.match(await rawAnswer(port, `GET / HTTP/1.1\r\nx: ${"a".repeat(20_000)}\r\n\r\n`), /431/);
  assert.match(await rawAnswer(port, Buffer.from([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3])), /400/);
  const browser = new Browser(origin);
  const { csrf } = await browser.open();
  const head = (length: number) =>
    `POST /api/split-preview HTTP/1.1\r\nhost: ${origin.slice(7)}\r\norigin: ${origin}\r\nx-hostmesh-csrf: ${csrf}\r\ncontent-length: ${length}\r\n\r\n`;
  assert.match(await rawAnswer(port, head(1e9)), /413[\s\S]*connection: close/i);
  assert.match(await rawAnswer(port, `${head(100)}{`), /408/);
  const chunked = head(1).replace("content-length: 1", "transfer-encoding: chunked");
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  const answer = collect(socket);
  const chunk = `2710\r\n${"x".repeat(10_000)}\r\n`;
  socket.write(chunked + chunk.repeat(8));
  assert.match(await answer, /413/);
  const garbage = await browser.call("POST", "/api/split-preview", undefined, {});
  assert.equal(garbage.status, 400);
});

it("hostile JSON is refused with its place", async (t) => {
  const { origin } = await startLab(t);
  const browser = new Browser(origin);
  await browser.open();
  const send = async (body: string) => {
    const headers = { origin, "x-hostmesh-csrf": browser.csrf };
    const answer = await fetch(`${origin}/api/split-preview`, { method: "POST", headers, body });
    return `${answer.status} ${await answer.text()}`;
  };
  assert.match(await send("{"), /^400 .*is not JSON/);
  assert.match(await send('{"__proto__": {}}'), /^400 .*__proto__/);
  assert.match(
    await send('{"service": "a/b", "backends": [{"name": "a", "weight": -1}]}'),
    /^400 .*backends\[0\].weight/,
  );
  assert.match(
    await send('{"service": "a/b", "backends": [{"name": "a", "weight": 0}]}'),
    /^400 .*all weights are 0/,
  );
  assert.match(
    await send('{"service": "a/b/c", "backends": []}'),
    /^400 .*service: namespace\/name/,
  );
});

it("beyond loopback it is not served without logins and TLS", () => {
  const none = { bind: "127.0.0.1", usersFile: "", tlsCertFile: "", tlsKeyFile: "" };
  const tls = { tlsCertFile: "c.pem", tlsKeyFile: "k.pem" };
  assert.equal(dashboardDanger(none), null);
  assert.equal(dashboardDanger({ ...none, bind: "::1", usersFile: "u" }), null);
  assert.equal(dashboardDanger({ ...tls, bind: "0.0.0.0", usersFile: "u" }), null);
  for (const options of [
    { ...none, bind: "0.0.0.0" },
    { ...none, bind: "::" },
    { ...none, bind: "10.0.0.1", usersFile: "u" },
    { ...none, ...tls, bind: "10.0.0.1" },
    { ...none, tlsCertFile: "c.pem" },
  ]) {
    const danger = dashboardDanger(options);
    assert.ok(danger !== null && danger.remedy !== "", JSON.stringify(options));
  }
  assert.match(dashboardDanger({ ...none, bind: "::" })?.remedy ?? "", /usersFile.*tlsCertFile/);
});

it("what cannot be served is said, and nothing is left open", async (t) => {
  const folder = await tempFolder(t);
  await assert.rejects(startLab(t, { usersFile: join(folder, "none") }), /none: ENOENT/);
  const bad = join(folder, "bad.yaml");
  await writeFile(bad, "users:\n  - {name: ann, role: admin, hash: x}\n");
  await assert.rejects(startLab(t, { usersFile: bad }), /bad.yaml: users\[0\]\.(role|hash)/);
  await writeFile(bad, "users:\n  - {name: ann, role: viewer, hash: scrypt$99999999$8$1$a$b}\n");
  await assert.rejects(startLab(t, { usersFile: bad }), /users\[0\].hash: is no hash/);
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  t.after(() => taken.close());
  const { port } = taken.address() as AddressInfo;
  await assert.rejects(startLab(t, { port }), { code: "EADDRINUSE" });
  await assert.rejects(startLab(t, { bind: "0.0.0.0" }), /needs logins and TLS/);
});

it("with TLS the cookie is for TLS only, and a renewed certificate is shown without a restart", async (t) => {
  const folder = await tempFolder(t);
  const cert = join(folder, "cert.pem");
  const key = join(folder, "key.pem");
  const make = (name: string) =>
    execFileSync(
      "openssl",
      [
        ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
        ...["-keyout", key, "-out", cert, "-days", "1", "-subj", `/CN=${name}`],
      ],
      { stdio: "ignore" },
    );
  make("first");
  const { path, tokens } = await usersFile(t, { ann: { role: "viewer" } });
  const hand = new HandTimers();
  const { dashboard, log } = await startLab(t, {
    ...{ usersFile: path, tlsCertFile: cert, tlsKeyFile: key, timers: { after: hand.start } },
  });
  const { port } = dashboard;
  assert.equal(dashboard.url, `https://127.0.0.1:${port}/`);
  const shown = async () => {
    const request = httpsGet({
      port,
      host: "127.0.0.1",
      rejectUnauthorized: false,
      agent: false,
      path: "/api/session",
    });
    const [answer] = await once(request, "response");
    let text = "";
    for await (const part of answer) text += part;
    const { subject } = answer.socket.getPeerCertificate();
    return { name: subject.CN, session: JSON.parse(text) };
  };
  const { name, session } = await shown();
  assert.deepEqual([name, session.role, session.loginNeeded], ["first", null, true]);
  const login = httpsRequest({
    ...{ port, host: "127.0.0.1", rejectUnauthorized: false, agent: false, path: "/api/login" },
    method: "POST",
    headers: { origin: `https://127.0.0.1:${port}`, "x-hostmesh-csrf": session.csrf },
  });
  login.end(JSON.stringify({ token: tokens["ann"] }));
  const [welcome] = await once(login, "response");
  assert.match(String(welcome.headers["set-cookie"]), /; SameSite=Strict; Max-Age=600; Secure$/);
  const plain = httpRequest({ port, host: "127.0.0.1", path: "/" }).end();
  await assert.rejects(once(plain, "response"));

  const good = await readFile(key);
  await writeFile(key, "garbage");
  hand.advance(5_000);
  await until(() => log.lines.some(({ message }) => /certificate is bad/.test(message)));
  assert.equal((await shown()).name, "first");
  await writeFile(key, good);
  make("second");
  await until(async () => {
    hand.advance(5_000);
    return (await shown()).name === "second";
  });
});
