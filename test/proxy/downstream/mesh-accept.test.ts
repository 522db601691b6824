import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { afterEach, describe, it } from "node:test";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import type { Credential } from "../../../src/core/identity.ts";
import type { Conn } from "../../../src/http/conn.ts";
import { privateKeyPem } from "../../../src/identity/x509.ts";
import { ConnProbe } from "../../helpers/conn-pair.ts";
import {
  CONNECT_TEXT,
  credentialsOf,
  HOUR_MS,
  issue,
  MeshPort,
  newAuthority,
  PLACE,
  rawClient,
  spiffe,
  validity,
} from "../../helpers/mesh-lab.ts";
import { until } from "../../helpers/until.ts";

const ROOT = newAuthority();
const STRANGER = newAuthority();
const [WEB, API, OTHER] = [spiffe("web"), spiffe("api"), spiffe("other")];
const CALLER = issue(ROOT, WEB);

const open: { close(): unknown }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

/** Of the port: tickets end with the certificate that was shown, so tests that resume need the same. */
const PROOFS = new Map([API, OTHER].map((identity) => [identity, issue(ROOT, identity)]));

async function newPort(held: readonly string[] = [API]): Promise<MeshPort> {
  const credentials = held.map((identity) => PROOFS.get(identity) ?? issue(ROOT, identity));
  const port = await new MeshPort(credentialsOf([ROOT], credentials)).start();
  open.push(port);
  return port;
}

function keepSocket<T extends Socket>(socket: T): T {
  socket.on("error", () => socket.destroy());
  open.push({ close: () => socket.destroy() });
  return socket;
}

async function client(
  port: MeshPort,
  credential: Credential | null = CALLER,
  options: ConnectionOptions = {},
  identity = API,
): Promise<TLSSocket> {
  const socket = await rawClient(port.address.port, credential, identity, options);
  if (socket instanceof Error) throw socket;
  return keepSocket(socket);
}

/** Text that comes until the other side ends. */
async function answerOf(socket: Socket): Promise<string> {
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk;
  });
  await closed(socket);
  return text;
}

/** However it ends: a reset is no failure here. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) resolve();
    else socket.once("close", () => resolve());
  });
}

/** Nothing is left of a connection that was refused, and this is why it was. */
async function assertRefused(port: MeshPort, refusal: string, detail?: RegExp): Promise<void> {
  await until(() => port.refusals.length > 0 && port.open === 0, { what: "the refusal" });
  assert.equal(port.refusals.length, 1);
  assert.equal(port.refusals[0]?.refusal, refusal, port.refusals[0]?.detail);
  if (detail !== undefined) assert.match(port.refusals[0]?.detail ?? "", detail);
  assert.equal(port.requests.length, 0);
  assert.equal(port.handshakes, 0);
  assert.equal(port.deadlines.size, 0);
}

describe("the mesh port refuses a caller", () => {
  it("without a certificate", async () => {
    const port = await newPort();
    const socket = await rawClient(port.address.port, null, API);
    if (!(socket instanceof Error)) await answerOf(keepSocket(socket));
    await assertRefused(port, "handshake", /certificate/);
  });

  const bad: Record<string, [() => Credential, RegExp]> = {
    "of an authority that is not trusted": [() => issue(STRANGER, WEB), /not trusted/],
    "that signed its own": [
      () => ({
        ...issue(ROOT, WEB),
        chain: STRANGER.certificate,
        privateKey: privateKeyPem(STRANGER.privateKey),
      }),
      /authority/,
    ],
    "whose certificate has expired": [
      () => issue(ROOT, WEB, validity(-2 * HOUR_MS, -HOUR_MS)),
      /expired/,
    ],
    "whose certificate is not valid yet": [
      () => issue(ROOT, WEB, validity(HOUR_MS, 2 * HOUR_MS)),
      /not valid yet/,
    ],
    "of another trust domain": [
      () => issue(ROOT, spiffe("web", "evil.local")),
      /another trust domain/,
    ],
    "with two URIs": [() => issue(ROOT, WEB, { names: { uris: [WEB, OTHER] } }), /2 URIs/],
    "with a common name alone": [() => issue(ROOT, WEB, { names: {}, commonName: WEB }), /0 URIs/],
    "whose URI is no SPIFFE ID": [
      () => issue(ROOT, WEB, { names: { uris: ["https://cluster.local/ns/a/sa/b"] } }),
      /SPIFFE/,
    ],
    "that shows the authority's certificate": [
      () => ({
        ...issue(ROOT, WEB),
        chain: ROOT.certificate,
        privateKey: privateKeyPem(ROOT.privateKey),
      }),
      /authority/,
    ],
  };
  for (const [whom, [credential, reason]] of Object.entries(bad)) {
    it(whom, async () => {
      const port = await newPort();
      const socket = await rawClient(port.address.port, credential(), API);
      if (!(socket instanceof Error)) {
        socket.write(CONNECT_TEXT);
        assert.equal(await answerOf(keepSocket(socket)), "", "no answer to a stranger");
      }
      await assertRefused(port, "certificate", reason);
    });
  }

  it("that speaks TLS 1.2 at most", async () => {
    const port = await newPort();
    const outcome = await rawClient(port.address.port, CALLER, API, { maxVersion: "TLSv1.2" });
    assert.ok(outcome instanceof Error);
    await assertRefused(port, "handshake", /version|protocol/i);
  });

  it("that speaks another protocol over TLS, or says none", async () => {
    const other = await newPort();
    const outcome = await rawClient(other.address.port, CALLER, API, { ALPNProtocols: ["h3"] });
    assert.ok(outcome instanceof Error);
    await assertRefused(other, "handshake");
    const none = await newPort();
    const socket = await rawClient(none.address.port, CALLER, API, { ALPNProtocols: [] });
    if (!(socket instanceof Error)) assert.equal(await answerOf(keepSocket(socket)), "");
    await assertRefused(none, "handshake", /hostmesh\/1/);
  });

  it("that asks for an identity that is not here, or for none", async () => {
    const port = await newPort();
    const outcome = await rawClient(port.address.port, CALLER, OTHER);
    assert.match(String(outcome), /unrecognized.name/i);
    await assertRefused(port, "unknown-name");
    const nameless = await newPort();
    const socket = await rawClient(nameless.address.port, CALLER, API, { servername: "" });
    assert.ok(socket instanceof Error);
    await assertRefused(nameless, "unknown-name");
  });

  it("where the host has no certificates at all", async () => {
    const port = await new MeshPort(null).start();
    open.push(port);
    assert.ok((await rawClient(port.address.port, CALLER, API)) instanceof Error);
    await assertRefused(port, "unknown-name");
  });

  it("that does not speak TLS", async () => {
    for (const bytes of [
      `GET / HTTP/1.1\r\nhost: ${PLACE.host}\r\n\r\n`,
      CONNECT_TEXT,
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      Buffer.alloc(70_000, 0xff),
      Buffer.from([22, 3, 1, 0, 5, 2, 0, 0, 1, 0]),
      Buffer.from([22, 3, 1, 255, 255]),
      Buffer.concat([Buffer.from([22, 3, 1, 0, 50, 1, 0, 0, 46]), Buffer.alloc(46, 0xff)]),
    ]) {
      const port = await newPort();
      const socket = keepSocket(connect(port.address));
      socket.write(bytes);
      const answer = await answerOf(socket);
      assert.equal(answer, "");
      await assertRefused(port, "not-tls");
    }
  });

  it("that closes, or resets, before its ClientHello is complete", async () => {
    const port = await newPort();
    keepSocket(connect(port.address)).end(Buffer.from([22, 3, 1, 2]));
    await assertRefused(port, "closed");
    const other = await newPort();
    const socket = keepSocket(connect(other.address));
    socket.write(Buffer.from([22, 3, 1, 2]));
    await until(() => other.handshakes === 1);
    socket.resetAndDestroy();
    await assertRefused(other, "closed");
  });

  it("that takes too long, wherever it stops", async () => {
    const stops: ((port: MeshPort) => Promise<unknown>)[] = [
      async (port) => keepSocket(connect(port.address)),
      async (port) => keepSocket(connect(port.address)).write(Buffer.from([22, 3, 1, 2])),
      (port) => client(port),
      async (port) => (await client(port)).write(CONNECT_TEXT.slice(0, -2)),
    ];
    for (const stop of stops) {
      const port = await newPort();
      await stop(port);
      await until(() => port.handshakes === 1);
      port.clock.advance(10_001);
      port.deadlines.tick();
      await assertRefused(port, "timeout", /10000 ms/);
    }
  });

  it("whose handshake is garbled on its way", async () => {
    const port = await newPort();
    // The ClientHello passes; the certificate behind it does not.
    const relay = await garble(port, (index) => index > 0);
    const socket = await rawClient(relay, CALLER, API);
    if (!(socket instanceof Error)) assert.equal(await answerOf(keepSocket(socket)), "");
    await assertRefused(port, "handshake");
  });

  it("while there are too many handshakes, and not when they are over", async () => {
    const port = await newPort();
    port.maxHandshakes = 2;
    const idle = [keepSocket(connect(port.address)), keepSocket(connect(port.address))];
    await until(() => port.handshakes === 2);
    await closed(keepSocket(connect(port.address)));
    assert.equal(port.refusals[0]?.refusal, "busy");
    for (const one of idle) one.destroy();
    await until(() => port.handshakes === 0);
    const served = await client(port);
    served.write(CONNECT_TEXT);
    await until(() => port.requests.length === 1);
    assert.equal(port.handshakes, 0, "a connection that is served is no handshake");
  });
});

/** Passes on what a client sends, but turns the last bit of those chunks around. */
async function garble(port: MeshPort, spoils: (index: number) => boolean): Promise<number> {
  const server = createServer((socket) => {
    const upstream = keepSocket(connect(port.address));
    keepSocket(socket).on("close", () => upstream.destroy());
    upstream.on("close", () => socket.destroy());
    upstream.pipe(socket);
    let chunks = 0;
    socket.on("data", (chunk) => {
      const last = chunk.length - 1;
      if (spoils(chunks++)) chunk[last] = (chunk[last] ?? 0) ^ 1;
      upstream.write(chunk);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  open.push(server);
  return (server.address() as AddressInfo).port;
}

describe("behind the handshake the mesh port", () => {
  it("understands a caller whose bytes come one by one, and keeps those behind the CONNECT", async () => {
    const port = await newPort();
    const probe = new ConnProbe();
    port.onMesh = (request) => {
      setImmediate(() => {
        request.grant().handler = probe;
      });
    };
    const drip = await dripping(port);
    const socket = keepSocket((await rawClient(drip, CALLER, API)) as TLSSocket);
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.write(`${CONNECT_TEXT}early`);
    await until(() => probe.text === "early");
    await until(() => text === "HTTP/1.1 200 OK\r\n\r\n");
    assert.deepEqual(port.requests[0]?.authority, PLACE);
  });

  it("keeps bytes that come while it is undecided", async () => {
    const port = await newPort();
    port.onMesh = () => {};
    const socket = await client(port);
    socket.write(CONNECT_TEXT);
    await until(() => port.requests.length === 1);
    socket.write("early ");
    socket.write("bird");
    await until(
      () => ((port.requests[0]?.conn as Conn | undefined)?.socket.readableLength ?? 0) >= 6,
    );
    const probe = new ConnProbe();
    const [request] = port.requests;
    assert.ok(request !== undefined);
    request.grant().handler = probe;
    await until(() => probe.text === "early bird");
  });

  it("tells that a caller has gone while it was undecided", async () => {
    for (const leave of [
      (socket: TLSSocket) => socket.destroy(),
      (socket: TLSSocket) => socket.end(),
    ]) {
      const port = await newPort();
      port.onMesh = () => {};
      const socket = await client(port);
      socket.write(CONNECT_TEXT);
      await until(() => port.requests.length === 1);
      leave(socket);
      await until(() => port.gone.length === 1 && port.open === 0);
      assert.equal(port.gone[0], port.requests[0]);
      port.requests[0]?.refuse(503, "too late");
      assert.equal(port.refusals.length, 0);
      assert.equal(port.handshakes, 0);
    }
  });

  it("refuses with a reason, and closes even where the caller does not", async () => {
    const port = await newPort();
    port.onMesh = (request) => request.refuse(403, "policy deny-all");
    const socket = keepSocket(
      (await rawClient(port.address.port, CALLER, API, {
        allowHalfOpen: true,
      } as ConnectionOptions)) as TLSSocket,
    );
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.write(CONNECT_TEXT);
    await once(socket, "end");
    assert.match(text, /^HTTP\/1\.1 403 Forbidden\r\nx-hostmesh-error: policy deny-all\r\n/);
    assert.equal(port.open, 1);
    port.clock.advance(1_001);
    port.deadlines.tick();
    await until(() => port.open === 0);
    assert.equal(port.deadlines.size, 0);
  });

  const head = (line: string, ...fields: string[]) => [line, ...fields, "", ""].join("\r\n");
  const place = `${PLACE.host}:${PLACE.port}`;
  const connectLine = `CONNECT ${place} HTTP/1.1`;
  const host = `Host: ${place}`;
  const tcp = "X-Hostmesh-Protocol: tcp";
  const misasked: Record<string, string> = {
    "another method": head("GET / HTTP/1.1", host, tcp),
    "HTTP/1.0": head(`CONNECT ${place} HTTP/1.0`, host, tcp),
    "a name in place of an address": head("CONNECT api:80 HTTP/1.1", "Host: api:80", tcp),
    "no port": head("CONNECT 10.1.2.3 HTTP/1.1", "Host: 10.1.2.3", tcp),
    "another Host": head(connectLine, "Host: 10.1.2.4:8080", tcp),
    "two Hosts": head(connectLine, host, host, tcp),
    "no Host": head(connectLine, tcp),
    "no protocol": head(connectLine, host),
    "two protocols": head(connectLine, host, tcp, tcp),
    "an unknown protocol": head(connectLine, host, "X-Hostmesh-Protocol: h3"),
    content: head(connectLine, host, tcp, "Content-Length: 3"),
    "chunked content": head(connectLine, host, tcp, "Transfer-Encoding: chunked"),
    "a caller by name": head(connectLine, host, tcp, 'Forwarded: for="_hidden"'),
    "two callers": head(connectLine, host, tcp, 'Forwarded: for="10.0.0.9", for="10.0.0.8"'),
    "two caller fields": head(
      ...([connectLine, host, tcp] as const),
      ...['Forwarded: for="10.0.0.9"', 'Forwarded: for="10.0.0.8"'],
    ),
    "a caller that is no address": head(connectLine, host, tcp, 'Forwarded: for="999.1.1.1"'),
    "a bare line feed": `${connectLine}\n${host}\r\n${tcp}\r\n\r\n`,
    garbage: "\u0000\u0001\u0002\r\n\r\n",
    "a huge head": `${connectLine}\r\nx: ${"x".repeat(10_000)}`,
    "a huge line": `CONNECT ${"1".repeat(10_000)}`,
    "too many fields": head(connectLine, host, tcp, ...new Array(40).fill("a: b")),
  };
  for (const [what, text] of Object.entries(misasked)) {
    it(`refuses ${what} with 400`, async () => {
      const port = await newPort();
      const socket = await client(port);
      socket.write(text, "latin1");
      assert.match(
        await answerOf(socket),
        /^HTTP\/1\.1 400 Bad Request\r\nx-hostmesh-error: .+\r\n/,
      );
      await assertRefused(port, "request");
    });
  }

  it("ends a connection whose records are garbled later", async () => {
    const port = await newPort();
    const probe = new ConnProbe();
    port.onMesh = (request) => {
      request.grant().handler = probe;
    };
    let spoils = false;
    const relay = await garble(port, () => spoils);
    const socket = keepSocket((await rawClient(relay, CALLER, API)) as TLSSocket);
    socket.write(CONNECT_TEXT);
    await once(socket, "data");
    socket.write("whole");
    await until(() => probe.text === "whole");
    spoils = true;
    socket.write("payment");
    await until(() => probe.closes === 1);
    assert.equal(probe.text, "whole");
    assert.ok(probe.error !== null);
    await until(() => port.open === 0);
  });

  it("does not open a session of one identity for another", async () => {
    const port = await newPort([API, OTHER]);
    const sessions: Buffer[] = [];
    const first = await client(port);
    first.on("session", (session) => sessions.push(session));
    first.write(CONNECT_TEXT);
    await once(first, "data");
    await until(() => sessions.length > 0);
    const session = sessions.at(-1);
    assert.ok(session !== undefined);
    const options = { session: unbound(session) };
    assert.equal((await client(port, CALLER, options)).isSessionReused(), true);
    const other = await client(port, CALLER, options, OTHER);
    assert.equal(other.isSessionReused(), false);
    assert.equal(other.getPeerX509Certificate()?.subjectAltName, `URI:${OTHER}`);
  });

  it("resumes for the holder of a ticket as the one that it was made for, without a certificate", async () => {
    const port = await newPort();
    const sessions: Buffer[] = [];
    const first = await client(port);
    first.on("session", (session) => sessions.push(session));
    first.write(CONNECT_TEXT);
    await once(first, "data");
    await until(() => sessions.length > 0);
    const resumed = await client(port, null, { session: unbound(sessions.at(-1) as Buffer) });
    assert.equal(resumed.isSessionReused(), true);
    resumed.write(CONNECT_TEXT);
    await until(() => port.requests.length === 2);
    assert.equal(port.requests[1]?.principal, WEB);
  });

  it("refuses a replayed ticket once the authority behind it is removed", async () => {
    const port = await newPort();
    const sessions: Buffer[] = [];
    const first = await client(port);
    first.on("session", (session) => sessions.push(session));
    first.write(CONNECT_TEXT);
    await once(first, "data");
    await until(() => sessions.length > 0);
    const [request] = port.requests;
    assert.ok(request !== undefined);
    assert.equal(port.contexts.stillTrusted(request.peer), true);
    // Ticket key and certificate stay, so that the ticket itself would do.
    const proof = PROOFS.get(API) ?? issue(ROOT, API);
    port.contexts.apply(credentialsOf([STRANGER], [proof]));
    assert.equal(port.contexts.stillTrusted(request.peer), false);
    const replayed = await client(port, CALLER, { session: unbound(sessions.at(-1) as Buffer) });
    assert.equal(replayed.isSessionReused(), true);
    replayed.write(CONNECT_TEXT);
    assert.equal(await answerOf(replayed), "");
    assert.equal(port.refusals[0]?.refusal, "certificate");
    assert.equal(port.requests.length, 1);
    // With a new key, or another certificate, it is not even a ticket.
    for (const credentials of [
      credentialsOf([STRANGER], [proof], 2),
      credentialsOf([ROOT], [issue(ROOT, API)]),
    ]) {
      port.contexts.apply(credentials);
      const again = await rawClient(port.address.port, CALLER, API, {
        session: unbound(sessions.at(-1) as Buffer),
      });
      if (!(again instanceof Error)) assert.equal(keepSocket(again).isSessionReused(), false);
    }
  });
});

/** Node binds a session to its server name; an attacker's client does not. */
function unbound(session: Buffer): Buffer {
  const prefix = Buffer.from("\0nodejs:tls:session:1\0");
  if (!session.subarray(0, prefix.length).equals(prefix)) return session;
  return session.subarray(prefix.length + 2 + session.readUInt16BE(prefix.length));
}

/** Passes on what a client sends byte by byte. */
async function dripping(port: MeshPort): Promise<number> {
  const server = createServer((socket) => {
    const upstream = keepSocket(connect({ ...port.address, noDelay: true }));
    keepSocket(socket).on("close", () => upstream.destroy());
    upstream.pipe(socket);
    socket.on("data", (chunk) => {
      socket.pause();
      let at = 0;
      const next = (): void => {
        if (at === chunk.length) socket.resume();
        else upstream.write(chunk.subarray(at, ++at), () => setImmediate(next));
      };
      next();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  open.push(server);
  return (server.address() as AddressInfo).port;
}
