import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { describe, type TestContext, test } from "node:test";
import type { TLSSocket } from "node:tls";
import { MeshError } from "../../../../src/core/errors.ts";
import type { Conn } from "../../../../src/http/conn.ts";
import { dialLink } from "../../../../src/proxy/upstream/transport/mesh-dial.ts";
import { ConnProbe } from "../../../helpers/conn-pair.ts";
import { type LinkPeer, linkPeer, olderPeer } from "../../../helpers/link-peers.ts";
import {
  credentialsOf,
  issue,
  MeshCaller,
  newAuthority,
  spiffe,
} from "../../../helpers/mesh-lab.ts";
import { until } from "../../../helpers/until.ts";

const ROOT = newAuthority();
const [WEB, API, OTHER] = [spiffe("web"), spiffe("api"), spiffe("other")];
const PROOF = issue(ROOT, API);

function caller(t: TestContext): MeshCaller {
  const one = new MeshCaller(credentialsOf([ROOT], [issue(ROOT, WEB)]));
  t.after(() => one.close());
  return one;
}

/** What a dial comes to. */
type Outcome = Conn | "older" | MeshError;

function dial(from: MeshCaller, via: LinkPeer["address"], destination = API): Promise<Outcome> {
  const { clock, deadlines, connectMs, handshakeMs, contexts } = from;
  return new Promise((resolve) => {
    dialLink(
      { via, source: WEB, destination },
      {
        onLinked(conn, peer) {
          assert.equal(peer.identity, destination);
          conn.handler = new ConnProbe();
          from.conns.push(conn);
          resolve(conn);
        },
        onOlder: () => resolve("older"),
        onDialFailed: resolve,
      },
      { clock, deadlines, connectMs, handshakeMs, contexts },
    );
  });
}

async function linked(from: MeshCaller, via: LinkPeer["address"]): Promise<Conn> {
  const outcome = await dial(from, via);
  if (outcome instanceof MeshError || outcome === "older") throw new Error(String(outcome));
  return outcome;
}

async function failed(outcome: Promise<Outcome>): Promise<MeshError> {
  const error = await outcome;
  assert.ok(error instanceof MeshError, String(error));
  return error;
}

describe("a dial of a link", () => {
  test("hands over a connection of HTTP/2 to whom it should be, with nothing said on it", async (t) => {
    const other = await linkPeer(PROOF, () => assert.fail("nobody has asked"));
    t.after(() => other.close());
    const conn = await linked(caller(t), other.address);
    const secured = conn.socket as TLSSocket;
    assert.equal(secured.alpnProtocol, "h2");
    const { name, version } = secured.getCipher();
    assert.deepEqual([name, version], ["TLS_AES_128_GCM_SHA256", "TLSv1.3"]);
    await until(() => other.callers.length === 1);
    assert.deepEqual(other.callers, [WEB]);
  });

  test("resumes the session that the one before has left", async (t) => {
    const other = await linkPeer(PROOF, () => undefined);
    t.after(() => other.close());
    const from = caller(t);
    const first = await linked(from, other.address);
    const key = { source: WEB, destination: API, ...other.address };
    await until(() => from.contexts.sessions.get(key) !== undefined, { what: "a ticket" });
    assert.equal((first.socket as TLSSocket).isSessionReused(), false);
    const second = await linked(from, other.address);
    assert.equal((second.socket as TLSSocket).isSessionReused(), true);
  });

  test("finds out that the other host is older, and asks for nothing there", async (t) => {
    const protocols: string[] = [];
    const other = await olderPeer(PROOF, { protocols });
    t.after(() => other.close());
    assert.equal(await dial(caller(t), other.address), "older");
    assert.deepEqual(protocols, []);
  });

  test("does not take another identity for the one that was meant, whatever it speaks", async (t) => {
    const other = await linkPeer(issue(ROOT, OTHER), () => undefined);
    const older = await olderPeer(issue(ROOT, OTHER));
    t.after(() => other.close());
    t.after(() => older.close());
    for (const { address } of [other, older]) {
      const error = await failed(dial(caller(t), address));
      assert.equal(error.code, "IDENTITY_MISMATCH");
      assert.match(error.message, /expected .*api, it is .*other/);
    }
  });

  test("does not trust who is vouched for by nobody", async (t) => {
    const other = await linkPeer(issue(newAuthority(), API), () => undefined);
    t.after(() => other.close());
    assert.equal((await failed(dial(caller(t), other.address))).code, "TLS_FAILED");
  });

  test("says who cannot be reached, and who has no certificate", async (t) => {
    const other = await linkPeer(PROOF, () => undefined);
    other.close();
    const { host, port } = other.address;
    const refused = await failed(dial(caller(t), other.address));
    assert.equal(refused.code, "CONNECT_REFUSED");
    assert.ok(refused.message.includes(`${host}:${port}`));
    const nobody = new MeshCaller(credentialsOf([ROOT], []));
    t.after(() => nobody.close());
    assert.equal((await failed(dial(nobody, other.address))).code, "MTLS_UNAVAILABLE");
  });

  test("waits for the handshake as long as it may take", async (t) => {
    const silent = createServer().listen(0, "127.0.0.1");
    await once(silent, "listening");
    t.after(() => void silent.close());
    const from = caller(t);
    const outcome = failed(
      dial(from, { host: "127.0.0.1", port: (silent.address() as AddressInfo).port }),
    );
    await once(silent, "connection");
    await until(() => {
      from.clock.advance(from.handshakeMs);
      from.deadlines.tick();
      return from.deadlines.size === 0;
    });
    assert.match((await outcome).code, /TLS_FAILED|CONNECT_TIMEOUT/);
  });
});
