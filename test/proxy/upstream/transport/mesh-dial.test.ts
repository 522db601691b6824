import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { afterEach, describe, it } from "node:test";
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from "node:tls";
import { MeshError } from "../../../../src/core/errors.ts";
import type { Conn } from "../../../../src/http/conn.ts";
import { MESH_ALPN, MESH_GRANT } from "../../../../src/http/h1/mesh-connect.ts";
import { privateKeyPem } from "../../../../src/identity/x509.ts";
import type { MeshTarget } from "../../../../src/proxy/upstream/transport/mesh-dial.ts";
import { ConnProbe } from "../../../helpers/conn-pair.ts";
import {
  credentialsOf,
  HOUR_MS,
  issue,
  MeshCaller,
  MeshPort,
  newAuthority,
  PLACE,
  spiffe,
  validity,
} from "../../../helpers/mesh-lab.ts";
import { until } from "../../../helpers/until.ts";

const ROOT = newAuthority();
const STRANGER = newAuthority();
const [WEB, API, OTHER] = [spiffe("web"), spiffe("api"), spiffe("other")];
const TEN_MIB = 10 * 1_024 * 1_024;

const open: { close(): unknown }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

function keep<T extends { close(): unknown }>(one: T): T {
  open.push(one);
  return one;
}

function newCaller(): MeshCaller {
  return keep(new MeshCaller(credentialsOf([ROOT], [issue(ROOT, WEB)])));
}

function targetAt(via: { host: string; port: number }): MeshTarget {
  return {
    ...{ ...PLACE, via, source: WEB, destination: API },
    ...{ protocol: "tcp", client: "10.0.0.9" },
  };
}

/** Of the dialled host; its workers all have this one. */
const PROOF = issue(ROOT, API);

async function pair() {
  const port = keep(await new MeshPort(credentialsOf([ROOT], [PROOF])).start());
  return { port, caller: newCaller(), target: targetAt(port.address) };
}

async function connected(caller: MeshCaller, target: MeshTarget): Promise<Conn> {
  const outcome = await caller.dial(target);
  if (outcome instanceof MeshError) throw outcome;
  return outcome.conn;
}

async function failed(caller: MeshCaller, target: MeshTarget): Promise<MeshError> {
  const outcome = await caller.dial(target);
  assert.ok(outcome instanceof MeshError, "the dial succeeded");
  return outcome;
}

function probeOf(conn: Conn): ConnProbe {
  const probe = new ConnProbe();
  conn.handler = probe;
  return probe;
}

/** As the data path does it: the handler is replaced at once. */
function handedTo(
  caller: MeshCaller,
  target: MeshTarget,
  probe: ConnProbe,
  first: (conn: Conn) => void = () => {},
): Promise<Conn> {
  return new Promise((resolve, reject) => {
    caller.start(target, {
      onConnected: (conn) => {
        conn.handler = probe;
        first(conn);
        caller.conns.push(conn);
        resolve(conn);
      },
      onDialFailed: reject,
    });
  });
}

function isResumed(conn: Conn): boolean {
  return (conn.socket as TLSSocket).isSessionReused();
}

/** A mesh port that is not ours: `serve` does what it likes behind the handshake. */
async function strangePort(options: TlsOptions, serve: (socket: TLSSocket) => void) {
  const sockets = new Set<Socket>();
  const server = createTlsServer({ ALPNProtocols: [MESH_ALPN], requestCert: true, ...options });
  server.on("connection", (socket) => sockets.add(socket));
  server.on("secureConnection", (socket) => {
    socket.on("error", () => socket.destroy());
    serve(socket);
  });
  server.on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  keep({
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  });
  return targetAt({ host: "127.0.0.1", port: (server.address() as AddressInfo).port });
}

function serverOptions(credential: { chain: string; privateKey: string }): TlsOptions {
  return { cert: credential.chain, key: credential.privateKey, rejectUnauthorized: false };
}

/** A trusted host that answers every CONNECT like this. */
async function answering(serve: (socket: TLSSocket) => void): Promise<MeshTarget> {
  return strangePort(serverOptions(issue(ROOT, API)), (socket) => {
    socket.once("data", () => serve(socket));
  });
}

describe("a dial to another host", () => {
  it("says what it wants, proves who it is, and hands over a connection that proved to be the other", async () => {
    const { port, caller, target } = await pair();
    const outcome = await caller.dial(target);
    if (outcome instanceof MeshError) throw outcome;
    assert.equal(outcome.peer?.identity, API);
    const [request] = port.requests;
    assert.equal(request?.principal, WEB);
    assert.equal(request?.identity, API);
    assert.deepEqual(request?.authority, PLACE);
    assert.equal(request?.protocol, "tcp");
    assert.equal(request?.client, "10.0.0.9");
    const probe = probeOf(outcome.conn);
    outcome.conn.writeText("hello");
    await until(() => probe.text === "hello");
  });

  it("asks for IPv6 places and says IPv6 callers", async () => {
    const { port, caller, target } = await pair();
    await connected(caller, { ...target, host: "2001:db8::1", client: "fd00::9" });
    assert.deepEqual(port.requests[0]?.authority, { host: "2001:db8::1", port: 8_080 });
    assert.equal(port.requests[0]?.client, "fd00::9");
  });

  it("loses none of the bytes that come with the answer", async () => {
    const target = await answering((socket) => void socket.write(`${MESH_GRANT}early`));
    const probe = new ConnProbe();
    await handedTo(newCaller(), target, probe);
    await until(() => probe.text === "early");
  });

  it("keeps bytes that come with the answer while reading is stopped", async () => {
    const target = await answering((socket) => void socket.end(`${MESH_GRANT}early`));
    const probe = new ConnProbe();
    const conn = await handedTo(newCaller(), target, probe, (one) => one.stopReading());
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(probe.text, "");
    conn.resumeReading();
    await until(() => probe.text === "early" && probe.fins === 1);
  });

  it("understands an answer that comes byte by byte", async () => {
    const target = await answering((socket) => {
      const bytes = Buffer.from(`${MESH_GRANT}x`);
      let at = 0;
      const next = (): void => {
        if (at < bytes.length) socket.write(bytes.subarray(at, ++at), () => setImmediate(next));
      };
      next();
    });
    const probe = new ConnProbe();
    await handedTo(newCaller(), target, probe);
    await until(() => probe.text === "x");
  });

  it("carries the end of each direction by itself", async () => {
    const { port, caller, target } = await pair();
    const server = new ConnProbe();
    let served: Conn | undefined;
    port.onMesh = (request) => {
      served = request.grant() as Conn;
      served.handler = server;
    };
    const conn = await connected(caller, target);
    const probe = probeOf(conn);
    conn.writeText("last words");
    conn.end();
    await until(() => server.fins === 1);
    assert.equal(server.text, "last words");
    assert.equal(served?.closed, false, "half-closed");
    served?.writeText("answer");
    await until(() => probe.text === "answer");
    served?.end();
    await until(() => probe.closes === 1 && server.closes === 1);
    assert.equal(probe.fins, 1);
    assert.equal(probe.error, null);
    assert.equal(server.error, null);
  });

  it("passes the other side's end on while it still sends", async () => {
    const { port, caller, target } = await pair();
    const server = new ConnProbe();
    port.onMesh = (request) => {
      const served = request.grant() as Conn;
      served.handler = server;
      served.end();
    };
    const conn = await connected(caller, target);
    const probe = probeOf(conn);
    await until(() => probe.fins === 1);
    conn.writeText("still here");
    await until(() => server.text === "still here");
    conn.end();
    await until(() => probe.closes === 1 && server.closes === 1);
  });

  it("passes a reset on as one", async () => {
    const { port, caller, target } = await pair();
    const server = new ConnProbe();
    port.onMesh = (request) => {
      request.grant().handler = server;
    };
    const conn = await connected(caller, target);
    conn.reset();
    await until(() => server.closes === 1);
    assert.match(String(server.error), /ECONNRESET/);
    await until(() => port.open === 0);
  });

  it("carries 10 MiB both ways past a peer that reads slowly", async () => {
    const { caller, target } = await pair();
    const conn = await connected(caller, target);
    const data = Buffer.alloc(TEN_MIB);
    for (let at = 0; at < data.length; at += 4) data.writeUInt32LE(at, at);
    let got = 0;
    let wrong = 0;
    const probe = probeOf(conn);
    probe.take = (chunk, end) => {
      for (let at = 0; at < end; at++) if (chunk[at] !== data[got + at]) wrong += 1;
      got += end;
      conn.stopReading();
      setImmediate(() => conn.resumeReading());
    };
    conn.socket.write(data);
    conn.end();
    await until(() => probe.fins === 1, { timeoutMs: 20_000 });
    assert.equal(got, TEN_MIB);
    assert.equal(wrong, 0);
  });
});

describe("the session of a dial", () => {
  it("is resumed between the same two identities, and verified again", async () => {
    const { port, caller, target } = await pair();
    const first = await connected(caller, target);
    assert.equal(isResumed(first), false);
    const outcome = await caller.dial(target);
    if (outcome instanceof MeshError) throw outcome;
    assert.equal(isResumed(outcome.conn), true);
    assert.equal(outcome.peer?.identity, API);
    assert.equal(port.requests[1]?.principal, WEB);
    assert.equal(port.requests[1]?.peer.fingerprint, port.requests[0]?.peer.fingerprint);
  });

  it("is forgotten when the anchors change, and when the caller's certificate is renewed", async () => {
    const { caller, target } = await pair();
    await connected(caller, target);
    assert.equal(caller.contexts.sessions.size, 1);
    caller.contexts.apply(credentialsOf([ROOT, STRANGER], [issue(ROOT, WEB)]));
    assert.equal(caller.contexts.sessions.size, 0);
    assert.equal(isResumed(await connected(caller, target)), false);
    assert.equal(isResumed(await connected(caller, target)), true);
    caller.contexts.apply(credentialsOf([ROOT, STRANGER], [issue(ROOT, WEB)]));
    assert.equal(isResumed(await connected(caller, target)), false);
  });

  it("is not resumed once the other side's certificate has expired", async () => {
    const { caller, target } = await pair();
    await connected(caller, target);
    caller.wall.advance(2 * HOUR_MS);
    const error = await failed(caller, target);
    assert.equal(error.code, "TLS_FAILED");
    assert.match(error.message, /expired/);
    assert.equal(caller.contexts.sessions.size, 0);
  });

  it("does not help a caller whose authority the other side no longer trusts, and is dropped", async () => {
    const { port, caller, target } = await pair();
    await connected(caller, target);
    // The very same ticket key: it is the certificate in the session that is refused.
    port.contexts.apply(credentialsOf([STRANGER], [issue(ROOT, API)]));
    const error = await failed(caller, target);
    assert.equal(error.code, "TLS_FAILED");
    assert.match(port.refusals[0]?.detail ?? "", /not trusted/);
    assert.equal(port.refusals[0]?.refusal, "certificate");
    assert.equal(caller.contexts.sessions.size, 0);
  });

  it("does not help a caller whose certificate has expired", async () => {
    const { port, caller, target } = await pair();
    await connected(caller, target);
    port.wall.advance(2 * HOUR_MS);
    assert.equal((await failed(caller, target)).code, "TLS_FAILED");
    assert.match(port.refusals[0]?.detail ?? "", /expired/);
  });

  it("is opened by every worker of the other host, intermediates included", async () => {
    const { port, caller, target } = await pair();
    await connected(caller, target);
    const credentials = credentialsOf([ROOT], [PROOF]);
    const second = keep(await new MeshPort(credentials).start());
    const [key] = [{ source: WEB, destination: API }];
    const session = caller.contexts.sessions.get({ ...key, ...port.address });
    assert.ok(session !== undefined);
    caller.contexts.sessions.set({ ...key, ...second.address }, session);
    assert.equal(isResumed(await connected(caller, targetAt(second.address))), true);
    assert.equal(second.requests[0]?.principal, WEB);
  });
});

describe("a dial fails", () => {
  it("without a certificate of the source, and with one that is unusable, before it connects", async () => {
    const { port, caller, target } = await pair();
    const error = await failed(caller, { ...target, source: OTHER });
    assert.equal(error.code, "MTLS_UNAVAILABLE");
    assert.match(error.message, /sa\/other/);
    const broken = { ...issue(ROOT, OTHER), privateKey: privateKeyPem(STRANGER.privateKey) };
    caller.contexts.apply(credentialsOf([ROOT], [broken]));
    const unusable = await failed(caller, { ...target, source: OTHER });
    assert.equal(unusable.code, "MTLS_UNAVAILABLE");
    assert.ok(unusable.cause instanceof Error);
    assert.equal(port.open, 0);
  });

  it("where nobody listens", async () => {
    const { port, caller, target } = await pair();
    port.close();
    assert.equal((await failed(caller, target)).code, "CONNECT_REFUSED");
  });

  it("where the host does not have the identity", async () => {
    const { port, caller, target } = await pair();
    const error = await failed(caller, { ...target, destination: OTHER });
    assert.equal(error.code, "TLS_FAILED");
    assert.match(String(error.cause), /unrecognized.name/i);
    assert.equal(port.refusals[0]?.refusal, "unknown-name");
  });

  it("where the certificate names another identity of the mesh", async () => {
    const target = await strangePort(serverOptions(issue(ROOT, OTHER)), () => {});
    const caller = newCaller();
    const error = await failed(caller, target);
    assert.equal(error.code, "IDENTITY_MISMATCH");
    assert.equal(caller.contexts.sessions.size, 0);
  });

  const names = { uris: [API] };
  const impostors = {
    "an authority that is not trusted": () => issue(STRANGER, API),
    "a certificate signed by itself": () => ({
      ...issue(ROOT, API),
      chain: STRANGER.certificate,
      privateKey: privateKeyPem(STRANGER.privateKey),
    }),
    "an expired certificate": () => issue(ROOT, API, validity(-2 * HOUR_MS, -HOUR_MS)),
    "a certificate that is not valid yet": () => issue(ROOT, API, validity(HOUR_MS, 2 * HOUR_MS)),
    "another trust domain": () => issue(ROOT, spiffe("api", "evil.local")),
    "two URIs": () => issue(ROOT, API, { names: { uris: [API, OTHER] } }),
    "a common name only": () => issue(ROOT, API, { names: {}, commonName: API }),
    "a DNS name only": () => issue(ROOT, API, { names: { dnsNames: ["api.default"] } }),
    "the authority's own certificate": () => ({
      ...issue(ROOT, API, { names }),
      chain: ROOT.certificate,
      privateKey: privateKeyPem(ROOT.privateKey),
    }),
  };
  for (const [what, credential] of Object.entries(impostors)) {
    it(`where the other side shows ${what}`, async () => {
      let asked = 0;
      const target = await strangePort(serverOptions(credential()), (socket) => {
        socket.on("data", () => asked++);
      });
      const caller = newCaller();
      assert.equal((await failed(caller, target)).code, "TLS_FAILED");
      assert.equal(caller.contexts.sessions.size, 0);
      assert.equal(asked, 0, "nothing was said to it");
    });
  }

  it("where the other side speaks TLS 1.2 at most, or not our protocol", async () => {
    const credential = serverOptions(issue(ROOT, API));
    for (const options of [
      { maxVersion: "TLSv1.2" },
      { ALPNProtocols: ["h2"] },
      { ALPNProtocols: [] },
    ] as const) {
      const strange = { ...credential, ...options } as TlsOptions;
      const target = await strangePort(strange, (socket) => socket.write(MESH_GRANT));
      assert.equal((await failed(newCaller(), target)).code, "TLS_FAILED", JSON.stringify(options));
    }
  });

  it("as the other side's policies say, and as its answer says", async () => {
    const { port, caller, target } = await pair();
    const expected = { 400: "MESH_REFUSED", 401: "ACCESS_DENIED", 403: "ACCESS_DENIED" } as const;
    for (const [status, code] of [...Object.entries(expected), ["503", "MESH_REFUSED"]]) {
      port.onMesh = (request) => request.refuse(Number(status) as 403, `because of\r\n${status}`);
      const error = await failed(caller, target);
      assert.equal(error.code, code);
      assert.match(error.message, new RegExp(`${status} because of.*${status}`));
    }
    await until(() => port.open === 0);
  });

  it("where the answer is none", async () => {
    for (const answer of [
      "SSH-2.0-OpenSSH\r\n\r\n",
      "HTTP/1.1 200 OK\r\nx: \0\r\n\r\n",
      "HTTP/1.1 100 Continue\r\n\r\n",
      "HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n",
      `HTTP/1.1 200 OK\r\nx: ${"x".repeat(5_000)}`,
    ]) {
      const error = await failed(newCaller(), await answering((socket) => socket.write(answer)));
      assert.equal(error.code, "MESH_REFUSED", answer.slice(0, 30));
    }
  });

  it("where the other side goes away instead of answering", async () => {
    for (const leave of [
      (socket: TLSSocket) => socket.destroy(),
      (socket: TLSSocket) => socket.end(),
      (socket: TLSSocket) => socket.end("HTTP/1.1 2"),
    ]) {
      const error = await failed(newCaller(), await answering(leave));
      assert.equal(error.code, "TLS_FAILED");
      assert.match(error.message, /before it answered/);
    }
  });

  it("where the other side is plaintext", async () => {
    const server = createTcpServer((socket) =>
      socket.on("error", () => {}).end("HTTP/1.1 400 Bad Request\r\n\r\n"),
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    keep(server);
    const via = { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
    assert.equal((await failed(newCaller(), targetAt(via))).code, "TLS_FAILED");
  });

  it("in time where the other side is silent, before the handshake and behind it", async () => {
    let silent: Socket | undefined;
    const server = createTcpServer((socket) => {
      silent = socket.on("error", () => {});
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    keep(server);
    const caller = newCaller();
    const outcome = failed(
      caller,
      targetAt({ host: "127.0.0.1", port: (server.address() as AddressInfo).port }),
    );
    // Its ClientHello is there: the limit that runs is that of the handshake.
    await until(() => silent !== undefined);
    await once(silent as Socket, "readable");
    caller.clock.advance(10_001);
    caller.deadlines.tick();
    assert.equal((await outcome).code, "TLS_FAILED");
    silent?.destroy();

    const mute = newCaller();
    let asked = false;
    const target = await answering(() => {
      asked = true;
    });
    const unanswered = failed(mute, target);
    await until(() => asked);
    mute.clock.advance(10_001);
    mute.deadlines.tick();
    assert.equal((await unanswered).code, "MESH_REFUSED");
    assert.equal(mute.deadlines.size, 0);
  });

  it("silently, and leaves nothing open, when it is cancelled at any moment", async () => {
    const { port, caller, target } = await pair();
    let told = 0;
    const handler = { onConnected: () => told++, onDialFailed: () => told++ };
    caller.start(target, handler).cancel();
    caller.start({ ...target, source: OTHER }, handler).cancel();
    port.onMesh = () => {};
    const waiting = caller.start(target, handler);
    await until(() => port.requests.length === 1);
    waiting.cancel();
    await until(() => port.open === 0 && port.gone.length === 1);
    assert.equal(told, 0);
    assert.equal(caller.deadlines.size, 0);
    assert.equal(port.deadlines.size, 0);
  });
});
