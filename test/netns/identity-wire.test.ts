import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { formatHostPort } from "../../src/core/address.ts";
import { spiffe } from "../helpers/mesh-lab.ts";
import { until } from "../helpers/until.ts";
import {
  clientCert,
  type IdentityStage,
  identityStage,
  istio,
  PORTS,
  seenBy,
} from "./helpers/identity-stage.ts";
import type { MeshContainer } from "./helpers/mesh.ts";
import { skipReason } from "./helpers/privilege.ts";
import { Script } from "./helpers/program.ts";
import { isTls, passed, type SniffedStream, Sniffer } from "./helpers/sniffer.ts";

/** What an echo is asked. */
const wanted = (marker: string) => ({ send: marker, expect: marker });

/** Ports of TLS: the mesh's, and the registry's, which both daemons watch. */
const SECURE = [15_008, 15_012];

describe("what passes between hosts, and what servers are told", {
  skip: skipReason("tcpdump"),
}, () => {
  let stage: IdentityStage;
  before(async () => {
    stage = await identityStage({ onDeath: "closed" });
  });
  after(() => stage?.mesh.destroy());

  /** HTTP and opaque TCP to another host, to every kind of address, with a text that both directions carry. */
  async function speak(marker: string): Promise<void> {
    const { front, far, mesh } = stage;
    const [four, six] = [await mesh.addressesOf("far"), await mesh.addressesOf("far6")];
    const { address4, address6 } = far.container;
    const web = [
      formatHostPort(address4, PORTS.http),
      formatHostPort(address6 ?? "", PORTS.http),
      formatHostPort(four.v4, 80),
      formatHostPort(six.v6, 80),
    ];
    for (const place of web) {
      const headers = { "x-marker": marker };
      const url = `http://${place}/${marker}`;
      const answer = await front.http(url, { method: "POST", body: marker, headers });
      assert.match(seenBy(answer).url, new RegExp(marker));
    }
    for (const host of [address4, address6 ?? "", four.v4, six.v6]) {
      const { text } = await front.tcp(host, PORTS.echo, wanted(marker));
      assert.equal(text, marker, host);
    }
  }

  /** Streams that are no TLS, or of other ports than those that have it. */
  function inTheClear(streams: readonly SniffedStream[]): SniffedStream[] {
    return streams.filter(
      (stream) => !isTls(stream) || !stream.ports.some((port) => SECURE.includes(port)),
    );
  }

  test("a sniffer sees TLS records on the mesh port, and no word of what they carry", async () => {
    const sniffer = await Sniffer.start(stage.a.host.namespace, "link1");
    await speak("secret-of-the-mesh");
    const streams = await sniffer.stop();
    const mesh = streams.filter(({ ports }) => ports.includes(15_008));
    assert.ok(mesh.length >= 4, `both directions of HTTP and TCP: ${mesh.length}`);
    assert.deepEqual(
      inTheClear(streams).map(({ ports }) => ports),
      [],
    );
    for (const text of ["secret-of-the-mesh", "spiffe:", "CONNECT ", "HTTP/1.1"]) {
      assert.equal(passed(streams, text), false, text);
    }
  });

  test("with mutual TLS switched off it sees everything, so it would have seen it", async () => {
    const { mesh, a } = stage;
    await mesh.policies(istio("PeerAuthentication", "default", { mtls: { mode: "DISABLE" } }));
    const sniffer = await Sniffer.start(a.host.namespace, "link1");
    await speak("word-in-the-clear");
    const streams = await sniffer.stop();
    await mesh.noPolicies();
    assert.ok(passed(streams, "POST /word-in-the-clear HTTP/1.1"), "the request");
    assert.ok(passed(streams, '"url":"/word-in-the-clear"'), "the response");
    const tcp = streams.filter(({ ports }) => ports.includes(PORTS.echo));
    assert.equal(
      tcp.filter(({ bytes }) => bytes.equals(Buffer.from("word-in-the-clear"))).length,
      8,
    );
    assert.notDeepEqual(inTheClear(streams), []);
  });

  test("a server is told who calls, within the host and across", async () => {
    const { front, back, near, far, mesh } = stage;
    const pairs: [MeshContainer, MeshContainer][] = [
      [front, near],
      [front, far],
      [back, near],
      [back, far],
    ];
    for (const [from, to] of pairs) {
      const virtual = await mesh.addressesOf(to.name);
      const { address4, address6 } = to.container;
      for (const [host, port] of [
        [address4, PORTS.http],
        [address6 ?? "", PORTS.http],
        [virtual.v4, 80],
        [virtual.v6, 80],
      ] as const) {
        const place = formatHostPort(host, port);
        const cert = clientCert(seenBy(await from.http(`http://${place}/`)));
        assert.equal(cert.uri, spiffe(from.name), `${from.name} -> ${place}`);
        assert.equal(cert.by, spiffe(to.name), `${from.name} -> ${place}`);
        // Only another host has shown a certificate.
        assert.equal(cert.hash !== undefined, from.on !== to.on, `${from.name} -> ${place}`);
      }
    }
  });

  test("processes of a host call as the host", async () => {
    const { a, b, far } = stage;
    const proxied = async (host: typeof a) => {
      const { address4 } = far.container;
      const text = await host.host.namespace.exec("curl", [
        ...["-sS", "-m", "8", "-x", "http://127.0.0.1:4140"],
        `http://${address4}:${PORTS.http}/`,
      ]);
      return clientCert(JSON.parse(text)).uri;
    };
    for (const host of [a, b]) {
      assert.equal(await proxied(host), `spiffe://cluster.local/ns/hostmesh-hosts/sa/${host.name}`);
    }
  });

  test("who blocks the mesh port makes nobody speak in the clear", async () => {
    const { a, b, front, far } = stage;
    const url = `http://${far.container.address4}:${PORTS.http}/not-for-you`;
    const rule = "INPUT -p tcp --dport 15008 -j REJECT --reject-with tcp-reset";
    const sniffer = await Sniffer.start(a.host.namespace, "link1");
    await b.host.namespace.script(`iptables -I ${rule}`);
    assert.notEqual((await front.http(url)).status, 200);
    const { text } = await front.tcp(far.container.address4, PORTS.echo, wanted("not-for-you"));
    assert.equal(text, "");
    await b.host.namespace.script(`iptables -D ${rule}`);
    const answers = async () => (await front.http(url)).status === 200;
    await until(answers, { timeoutMs: 20_000, what: "an answer when it is open again" });
    const streams = await sniffer.stop();
    assert.deepEqual(inTheClear(streams), []);
    assert.ok(
      streams.some(({ ports }) => ports.includes(15_008)),
      "it was looking",
    );
  });

  test("a service that demands mutual TLS is not called in the clear", async () => {
    const { mesh, a, front, outside } = stage;
    await Script.start(outside.host.namespace, "app", ["plain", 0]);
    const address = outside.host.address4;
    const endpoint = { id: "plain", service: "plain", host: "c", address, port: PORTS.http };
    const service = { name: "plain", ports: [{ port: 80 }] };
    await mesh.apply({ services: [service], endpoints: [endpoint] });
    await mesh.settled();
    const { v4 } = await mesh.addressesOf("plain");
    const call = () => front.http(`http://${v4}/`, { headers: { "x-marker": "not-so-secret" } });
    assert.equal(seenBy(await call()).server, "plain", "without the demand");
    const sniffer = await Sniffer.start(a.host.namespace, "link2");
    await mesh.apply({ services: [{ ...service, mtls: "required" }] });
    await mesh.settled();
    const { headers = {} } = await call();
    assert.equal(headers["x-hostmesh-error"], "MTLS_UNAVAILABLE");
    const { text } = await front.tcp(v4, 80, { send: "\u0000not-so-secret", expect: "secret" });
    assert.equal(text, "");
    assert.deepEqual(inTheClear(await sniffer.stop()), []);
  });

  test("without a registry traffic goes on; a daemon that starts then sends nothing in the clear", async () => {
    const { mesh, a, b, front, back, near, far } = stage;
    const urlOf = (to: MeshContainer) => `http://${to.container.address4}:${PORTS.http}/secret-too`;
    const uri = async (from: MeshContainer, to: MeshContainer) =>
      clientCert(seenBy(await from.http(urlOf(to)))).uri;
    const sniffer = await Sniffer.start(a.host.namespace, "link1");
    await mesh.registry.killTree();
    for (const [from, to] of [
      [front, far],
      [back, near],
    ] as const) {
      assert.equal(await uri(from, to), spiffe(from.name));
      const { text } = await from.tcp(to.container.address4, PORTS.echo, wanted("secret-too"));
      assert.equal(text, "secret-too", from.name);
    }
    await a.daemon.killTree();
    assert.notEqual((await front.http(urlOf(far), { timeoutMs: 1_000 })).status, 200, "no daemon");
    const set = ["timeouts.handshakeMs=1000"];
    await a.startDaemon({ capture: "tproxy", onDeath: "closed", enrol: true, set });
    const { headers = {} } = await front.http(urlOf(far));
    assert.equal(headers["x-hostmesh-error"], "MTLS_UNAVAILABLE", "it has no certificates");
    const { text } = await front.tcp(far.container.address4, PORTS.echo, wanted("secret-too"));
    assert.equal(text, "");
    assert.notEqual((await back.http(urlOf(near))).status, 200, "from the other host");
    assert.equal(await uri(front, near), spiffe("front"), "within the host");
    await mesh.startRegistry(a);
    await Promise.all([a.untilCertified(), b.untilCertified()]);
    const answers = async () => (await back.http(urlOf(near))).status === 200;
    await until(answers, { what: "an answer with the new certificates" });
    assert.equal(await uri(front, far), spiffe("front"));
    assert.equal(await uri(back, near), spiffe("back"));
    const streams = await sniffer.stop();
    assert.deepEqual(inTheClear(streams), []);
    assert.equal(passed(streams, "secret-too"), false);
  });
});
