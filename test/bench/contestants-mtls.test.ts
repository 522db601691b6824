import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import {
  type ConnectionOptions,
  connect,
  createServer,
  type Server,
  type TLSSocket,
} from "node:tls";
import type { Contestant, Target } from "../../bench/model.ts";
import {
  createAuthority,
  generateKeys,
  issueLeaf,
  privateKeyPem,
} from "../../src/identity/x509.ts";
import { until } from "../helpers/until.ts";
import { get, OTHER_PEERS, openFieldLab, startService, textsBelow } from "./field-lab.ts";

const onLinux = { skip: process.platform === "linux" ? false : "needs /proc" };
/** RFC 9113 section 3.4, with an empty SETTINGS frame. */
const PREFACE = Buffer.concat([
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
]);
const REQUESTS_AT_ONCE = 20;

/** Whether a server sidecar serves a caller. nginx tells who has no certificate so in a response. */
async function serves(contestant: Contestant, options: ConnectionOptions): Promise<boolean> {
  const isHttp2 = contestant.between === "mtls-http2";
  const socket = connect({
    ...{ host: "127.0.0.1", port: contestant.tlsPorts[0] ?? 0, rejectUnauthorized: false },
    ...{ servername: "web-0", ALPNProtocols: [isHttp2 ? "h2" : "http/1.1"] },
    ...options,
  });
  socket.setTimeout(10_000, () => socket.destroy(new Error("no answer")));
  socket.once("secureConnect", () => {
    socket.write(isHttp2 ? PREFACE : "GET /10 HTTP/1.1\r\nHost: web-0\r\n\r\n");
  });
  try {
    const [chunk] = await Promise.race([once(socket, "data"), once(socket, "close")]);
    if (!Buffer.isBuffer(chunk)) return false;
    return isHttp2 || chunk.toString("latin1").startsWith("HTTP/1.1 200 ");
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** A certificate for the very same names, of an authority that nobody knows. */
function stranger(workload: string) {
  const hour = 3_600_000;
  const validity = {
    notBefore: new Date(Date.now() - hour),
    notAfter: new Date(Date.now() + hour),
  };
  const authority = createAuthority({ commonName: "hostmesh bench", ...validity });
  const { privateKey, publicKey } = generateKeys();
  const uris = [`spiffe://bench.local/ns/default/sa/${workload}`];
  const names = { uris, dnsNames: [workload] };
  const request = { publicKey, names, commonName: workload, ...validity };
  return { cert: issueLeaf(authority, request), key: privateKeyPem(privateKey) };
}

/** Established TCP connections that were accepted on a port of 127.0.0.1. */
async function acceptedOn(port: number): Promise<number> {
  const table = await readFile("/proc/net/tcp", "utf8");
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const established = "01";
  return table
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, from, , state]) => from === local && state === established).length;
}

test(
  "sidecars speak TLS 1.3 with each other, and only with those whom they know",
  onLinux,
  async (t) => {
    const lab = await openFieldLab(t, "same-host");
    const upstreams = [await startService(t, 0), await startService(t, 1)];
    const { contestants, missing } = await lab.start({
      ...{ modes: ["sidecar"], peers: ["hostmesh", ...OTHER_PEERS], protocol: "http1", tls: true },
      upstreams,
    });
    const installed = OTHER_PEERS.filter((peer) => missing.every(({ name }) => name !== peer));
    const wanted = [
      ["nginx", "nginx pair, mTLS h1", "mtls-http1"],
      ["haproxy", "haproxy pair, mTLS h1", "mtls-http1"],
      ["haproxy", "haproxy pair, mTLS h2", "mtls-http2"],
      ["envoy", "envoy pair, mTLS h2", "mtls-http2"],
    ].filter(([peer]) => installed.some((one) => one === peer));
    assert.deepEqual(
      contestants.map(({ peer, name, between }) => [peer, name, between]),
      wanted,
    );
    const reasons = new Map(missing.map(({ name, reason }) => [name, reason]));
    assert.match(reasons.get("hostmesh pair, mTLS h1") ?? "", /needs no TLS .*cross-host/);
    if (installed.includes("nginx")) {
      assert.match(reasons.get("nginx pair, mTLS h2") ?? "", /does not multiplex/);
    }
    const keyOf = async (name: string) => ({
      cert: await readFile(join(lab.bench.folder, "keys", `${name}.pem`)),
      key: await readFile(join(lab.bench.folder, "keys", `${name}.pem.key`)),
    });
    const [known, other] = [await keyOf("client"), await keyOf("web-1")];
    for (const contestant of contestants) {
      const { name, targets, tlsPorts } = contestant;
      const [target] = targets;
      assert.ok(target !== undefined);
      assert.equal(tlsPorts.length, 2, name);
      const callers = {
        "one that is known": [known, true],
        "one without certificate": [{}, false],
        "one of another authority": [stranger("client"), false],
        "one with TLS 1.2": [{ ...known, maxVersion: "TLSv1.2" }, false],
      } as const;
      for (const [caller, [options, isServed]] of Object.entries(callers)) {
        assert.equal(await serves(contestant, options), isServed, `${name}: ${caller}`);
      }
      await assertConnections(contestant, target);
      await assertRefusesImpostors(t, contestant, [other, stranger("web-0")]);
    }
    for (const [path, text] of await textsBelow(lab.configFolder)) {
      assert.doesNotMatch(text, /PRIVATE KEY/, path);
    }
  },
);

/** Over HTTP/1.1 each request in flight has a connection between the sidecars; over HTTP/2 all share one. */
async function assertConnections(
  { name, between, tlsPorts }: Contestant,
  target: Target,
): Promise<void> {
  const port = tlsPorts[0] ?? 0;
  const most = between === "mtls-http1" ? REQUESTS_AT_ONCE : 1;
  const waiting = Array.from({ length: REQUESTS_AT_ONCE }, () => openWaiting(target));
  if (between === "mtls-http1") {
    await until(async () => (await acceptedOn(port)) >= most, { what: `connections of ${name}` });
  } else {
    // Answered on the same connection while all others wait for theirs.
    assert.equal((await get(target, "/10")).status, 200, name);
    const count = await acceptedOn(port);
    assert.ok(count >= 1 && count <= 2, `${name}: ${count} connections`);
  }
  for (const socket of waiting) socket.destroy();
}

function openWaiting({ host, port, authority }: Target) {
  const socket = createConnection({ host, port });
  socket.on("error", () => socket.destroy());
  socket.write(`GET /wait HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  return socket;
}

/** The client's sidecar gives a request to nobody who cannot prove to be that very service. */
async function assertRefusesImpostors(
  t: TestContext,
  { name, proxies, targets, tlsPorts, between }: Contestant,
  impostors: readonly { readonly cert: Buffer | string; readonly key: Buffer | string }[],
): Promise<void> {
  const [target] = targets;
  const server = proxies.find(({ role }) => role === "server sidecar of web-0");
  assert.ok(target !== undefined && server !== undefined);
  process.kill(-server.pid, "SIGKILL");
  await until(async () => (await get(target, "/10")).status !== 200, { what: `end of ${name}` });
  for (const impostor of impostors) {
    let received = 0;
    const attempts = { handshakes: 0 };
    const listener = createServer(
      { ...impostor, ALPNProtocols: [between === "mtls-http2" ? "h2" : "http/1.1"] },
      (socket: TLSSocket) => {
        socket.on("error", () => socket.destroy());
        socket.on("data", ({ length }: Buffer) => {
          received += length;
        });
      },
    );
    listener.on("connection", () => {
      attempts.handshakes++;
    });
    listener.on("tlsClientError", () => {});
    await untilListening(listener, tlsPorts[0] ?? 0);
    t.after(() => listener.close());
    const isTried = async () => {
      assert.notEqual((await get(target, "/10")).status, 200, name);
      return attempts.handshakes > 0;
    };
    await until(isTried, { what: `${name} to try the impostor`, timeoutMs: 20_000 });
    assert.equal(received, 0, name);
    listener.close();
    await once(listener, "close");
  }
}

/** A killed process is a moment in dying, and its port with it. */
async function untilListening(listener: Server, port: number): Promise<void> {
  const tried = async (): Promise<boolean> => {
    listener.listen(port, "127.0.0.1");
    return once(listener, "listening").then(
      () => true,
      (error: unknown) => {
        if (String(error).includes("EADDRINUSE")) return false;
        throw error;
      },
    );
  };
  await until(tried, { what: `port ${port}` });
}
