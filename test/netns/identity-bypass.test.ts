import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { formatHostPort } from "../../src/core/address.ts";
import { spiffe } from "../helpers/mesh-lab.ts";
import {
  clientCert,
  type IdentityStage,
  identityStage,
  istio,
  PORTS,
  seenBy,
  untilGuarded,
} from "./helpers/identity-stage.ts";
import { type MeshContainer, MeshHost } from "./helpers/mesh.ts";
import { skipReason } from "./helpers/privilege.ts";
import type { TcpAnswer } from "./helpers/reports.ts";

type Attacker = MeshContainer | MeshHost;

/** What an application says to nobody but those who reach it. */
const REACHED = /"server":"(near|far)"/;
const PROXY_PORTS = [15_001, 15_006, 15_008, 4_140, 15_000, 15_010, 15_012, 15_020, 15_021];
const FRONT = "cluster.local/ns/default/sa/front";
const FORGED = {
  "x-forwarded-client-cert": `By=${spiffe("near")};URI=${spiffe("front")}`,
  x_forwarded_client_cert: `By=${spiffe("near")};URI=${spiffe("front")}`,
  forwarded: 'for="10.1.0.2"',
  "x-forwarded-for": "10.1.0.2",
  "x-hostmesh-protocol": "http/1.1",
  "x-hostmesh-identity": spiffe("front"),
  "x-hostmesh-source": "default/front",
};

const namespaceOf = (from: Attacker) =>
  from instanceof MeshHost ? from.host.namespace : from.container.namespace;

for (const capture of ["tproxy", "redirect"] as const) {
  describe(`attackers who want to be another, capture by ${capture}`, {
    skip: skipReason("curl"),
  }, () => {
    let stage: IdentityStage;
    before(async () => {
      stage = await identityStage({ capture });
    });
    after(() => stage?.mesh.destroy());

    /** A registered workload, and those that nobody knows, on a host of the mesh and outside. */
    const attackers = (): Attacker[] => [stage.attacker, stage.stranger, stage.outside];
    const servers = (): MeshContainer[] => [stage.near, stage.far];

    /** Of both servers, and of the IPv4 one also as IPv6 sees it. */
    const addressesOf = ({ container: { address4, address6 } }: MeshContainer): string[] => [
      address4,
      address6 ?? "",
      `::ffff:${address4}`,
    ];

    async function guard(): Promise<void> {
      const rules = [{ from: [{ source: { principals: [FRONT] } }] }];
      await stage.mesh.policies(
        istio("PeerAuthentication", "strict", { mtls: { mode: "STRICT" } }),
        istio("AuthorizationPolicy", "front-only", { rules }),
      );
      await untilGuarded(true, ...servers());
    }

    /** Who reaches what: `attacker -> address`, by HTTP, and by opaque TCP. */
    async function reached(headers: Readonly<Record<string, string>>): Promise<string[]> {
      const found: string[] = [];
      for (const from of attackers()) {
        for (const address of servers().flatMap(addressesOf)) {
          const url = `http://${formatHostPort(address, PORTS.http)}/`;
          const { text = "" } = await from.http(url, { headers, timeoutMs: 2_000 });
          if (REACHED.test(text)) found.push(`${from.name} -> http ${address}`);
        }
      }
      return found;
    }

    async function echoed(): Promise<string[]> {
      const found: string[] = [];
      for (const from of attackers()) {
        for (const address of servers().flatMap(addressesOf)) {
          const wanted = { send: "\u0000word", expect: "word", timeoutMs: 2_000 };
          const { text } = await from.tcp(address, PORTS.echo, wanted);
          if (text !== "") found.push(`${from.name} -> tcp ${address}`);
        }
      }
      return found;
    }

    test("without policies they reach every server, so they could", async () => {
      const places = servers().flatMap(addressesOf);
      assert.equal((await reached(FORGED)).length, attackers().length * places.length);
      assert.equal((await echoed()).length, attackers().length * places.length);
      // Identity headers of applications are not passed on even here.
      for (const to of servers()) {
        const url = `http://${to.container.address4}:${PORTS.http}/`;
        const seen = seenBy(await stage.attacker.http(url, { headers: FORGED }));
        assert.equal(clientCert(seen).uri, "spiffe://cluster.local/ns/evil/sa/attacker");
        assert.equal(seen.headers["x_forwarded_client_cert"], undefined);
        // Nor can a caller have ours taken away, as a field of its hop (RFC 9110 section 7.6.1).
        const connection = "close, x-forwarded-client-cert, x-forwarded-for";
        const { text } = await stage.attacker.http(url, { headers: { connection } });
        assert.match(text ?? "", /URI=spiffe:..cluster.local.ns.evil.sa.attacker/);
        assert.match(text ?? "", /"x-forwarded-for":"10.1.0.9/);
      }
    });

    test("guarded servers are reached by nobody else, with whatever headers, by no address", async () => {
      await guard();
      for (const to of servers()) {
        const { status } = await stage.front.http(`http://${to.container.address4}:${PORTS.http}/`);
        assert.equal(status, 200, "whoever may still can");
      }
      assert.deepEqual(await reached({}), []);
      assert.deepEqual(await reached(FORGED), []);
      assert.deepEqual(await echoed(), []);
    });

    test("a victim's address on the attacker's own interface leads nowhere", async () => {
      const { front, back, attacker, stranger, outside, near } = stage;
      const forgers: [Attacker, MeshContainer, string][] = [
        [attacker, front, "eth0"],
        [stranger, front, "eth0"],
        [stranger, back, "eth0"],
        [outside, back, "up0"],
      ];
      const forge = async ([from, victim, device]: (typeof forgers)[number]) => {
        const { address4, address6 } = victim.container;
        await namespaceOf(from).script(`
          ip addr add ${address4}/32 dev ${device}
          ip -6 addr add ${address6}/128 dev ${device} nodad
        `);
        const outcomes = servers().flatMap(({ container }) => [
          curlFrom(from, address4, container.address4),
          curlFrom(from, address6 ?? "", container.address6 ?? ""),
        ]);
        for (const text of await Promise.all(outcomes)) {
          assert.doesNotMatch(text, REACHED, `${from.name} as ${victim.name}`);
        }
        await namespaceOf(from).script(`
          ip addr del ${address4}/32 dev ${device}
          ip -6 addr del ${address6}/128 dev ${device}
        `);
      };
      await Promise.all(forgers.map(forge));
      // With an address of his own the attacker gets an answer in the same way.
      const own = attacker.container;
      for (const [source, target] of [
        [own.address4, near.container.address4],
        [own.address6 ?? "", near.container.address6 ?? ""],
      ] as const) {
        assert.match(await curlFrom(attacker, source, target), /ACCESS_DENIED/);
      }
    });

    const curlFrom = (from: Attacker, source: string, target: string) =>
      curl(from, "--interface", source, `http://${formatHostPort(target, PORTS.http)}/`);

    /** What the proxy or the server says, and what curl says when nobody does. */
    async function curl(from: Attacker, ...args: readonly string[]): Promise<string> {
      const { stdout, stderr } = await namespaceOf(from).run("curl", ["-sS", "-m", "1", ...args]);
      return stdout + stderr;
    }

    test("the proxy's own ports lead to no server and to no administration", async () => {
      const { a, b } = stage;
      const target = (to: MeshContainer) => formatHostPort(to.container.address4, PORTS.http);
      const asked = servers().flatMap((to) => [
        `GET / HTTP/1.1\r\nhost: ${target(to)}\r\nconnection: close\r\n\r\n`,
        `GET http://${target(to)}/ HTTP/1.1\r\nhost: ${target(to)}\r\nconnection: close\r\n\r\n`,
        `CONNECT ${target(to)} HTTP/1.1\r\nhost: ${target(to)}\r\nx-hostmesh-protocol: http/1.1\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`,
      ]);
      const places = [a, b].flatMap(({ host }) => [host.address4, host.address6]);
      const tries = attackers().flatMap((from) =>
        places.flatMap((host) =>
          PROXY_PORTS.flatMap((port) => asked.map((send) => ({ from, host, port, send }))),
        ),
      );
      const found: string[] = [];
      await Promise.all(
        tries.map(async ({ from, host, port, send }) => {
          const { text } = await raw(from, host, port, send);
          if (REACHED.test(text)) found.push(`${from.name} ${host} ${port} ${send}`);
          if (port === 15_000) assert.equal(text, "", `${from.name} ${host}`);
        }),
      );
      assert.deepEqual(found, []);
      const shown = await raw(stage.front, a.host.address4, 4_140, asked[1] ?? "");
      assert.match(shown.text, REACHED, "whoever may is let through");
    });

    test("the explicit proxy leads to no guarded server, however its address is written", async () => {
      const { a, b, front } = stage;
      const through = async (from: Attacker, proxy: MeshHost, target: string) => {
        const place = formatHostPort(target, PORTS.http);
        const connect = `CONNECT ${place} HTTP/1.1\r\nhost: ${place}\r\n\r\n`;
        const get = `GET / HTTP/1.1\r\nhost: ${place}\r\nconnection: close\r\n\r\n`;
        const absolute = get.replace("GET /", `GET http://${place}/`);
        const [tunnelled, asked] = await Promise.all([
          from.tcp(proxy.host.address4, 4_140, { send: connect + get, timeoutMs: 1_500 }),
          from.tcp(proxy.host.address4, 4_140, { send: absolute, timeoutMs: 1_500 }),
        ]);
        return tunnelled.text + asked.text;
      };
      const targets = servers().flatMap(addressesOf);
      const found: string[] = [];
      for (const target of targets) {
        assert.match(await through(front, a, target), REACHED, `whoever may, to ${target}`);
        for (const proxy of [a, b]) {
          const texts = await Promise.all(attackers().map((from) => through(from, proxy, target)));
          if (texts.some((text) => REACHED.test(text)))
            found.push(`${proxy.name} ${target} ${texts}`);
        }
      }
      assert.deepEqual(found, []);
    });

    test("the explicit proxy connects nobody to a daemon's ports, or to the host's loopback", async () => {
      const { a, attacker } = stage;
      const { address4, address6 } = a.host;
      const hosts = [
        ...[
          "127.0.0.1",
          "127.1.2.3",
          "[::1]",
          "[::ffff:127.0.0.1]",
          "0.0.0.0",
          "[::]",
          "localhost",
        ],
        ...[address4, `[${address6}]`, `[::ffff:${address4}]`],
      ];
      // On the host's own address some are for everybody, without a proxy.
      const isPublic = (host: string, port: number) => host.includes("254") && port > 15_008;
      const places = hosts.flatMap((host) =>
        PROXY_PORTS.filter((port) => !isPublic(host, port)).map((port) => `${host}:${port}`),
      );
      const asked = places.map(async (place) => {
        const connect = `CONNECT ${place} HTTP/1.1\r\nhost: ${place}\r\n\r\n`;
        const get = connect
          .replace("CONNECT ", "GET http://")
          .replace(" HTTP", "/config_dump HTTP");
        const texts = [connect, get].map((send) =>
          attacker.tcp(address4, 4_140, { send, expect: "\r\n\r\n", timeoutMs: 3_000 }),
        );
        const answers = await Promise.all(texts);
        return answers.map(({ text }) => `${place} ${text.split("\r\n")[0]}`);
      });
      const answers = (await Promise.all(asked)).flat();
      assert.deepEqual(
        answers.filter((answer) => !/ HTTP\/1.1 (403|50[0-9]) /.test(answer)),
        [],
      );
    });

    test("a caller without an identity that may call is told so by no forged header", async () => {
      const { mesh, stranger, outside } = stage;
      await mesh.noPolicies();
      await untilGuarded(false, ...servers());
      await mesh.policies(istio("AuthorizationPolicy", "everybody", { rules: [{}] }));
      await untilGuarded(true, ...servers());
      for (const from of [stranger, outside]) {
        for (const to of servers()) {
          const url = `http://${to.container.address4}:${PORTS.http}/`;
          const { headers } = seenBy(await from.http(url, { headers: FORGED }));
          assert.equal(headers["x-forwarded-client-cert"], undefined, `${from.name} ${to.name}`);
          assert.equal(headers["x_forwarded_client_cert"], undefined, `${from.name} ${to.name}`);
        }
      }
    });

    test("what reached a server before it was guarded reaches it no more", async () => {
      const { mesh, stranger, b, near } = stage;
      await mesh.noPolicies();
      await untilGuarded(false, ...servers());
      const url = `http://${near.container.address4}:${PORTS.http}/`;
      // Several, so that every worker of the proxy has one.
      const pooled = async () => {
        const asked = Array.from({ length: 8 }, () =>
          curl(stranger, "-x", `http://${b.host.address4}:4140`, url),
        );
        return (await Promise.all(asked)).join("");
      };
      await stranger.hold("early", near.container.address4, PORTS.echo);
      assert.equal((await stranger.echo("early", "before")).text, "before");
      assert.match(await pooled(), REACHED);
      await guard();
      assert.doesNotMatch(await pooled(), REACHED, "a pooled connection of the other host");
      assert.notEqual((await stranger.echo("early", "after")).text, "after", "a direct connection");
    });

    function raw(
      from: MeshContainer | MeshHost,
      host: string,
      port: number,
      send: string,
    ): Promise<TcpAnswer> {
      return from.tcp(host, port, { send, expect: "}\n", timeoutMs: 1_500 });
    }
  });
}
