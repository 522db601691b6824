import assert from "node:assert/strict";
import { readlink } from "node:fs/promises";
import { test } from "node:test";
import { pairName } from "../../bench/contestants/pair-entries.ts";
import { needleOfPort, readSocketTable, wasEstablished } from "../../bench/measure/socket-table.ts";
import { tlsPairs } from "../../bench/measure/tls-watch.ts";
import { startUpstream } from "../../bench/upstream/start-upstream.ts";
import { skipReason } from "../netns/helpers/privilege.ts";
import { named, OTHER_PEERS, openFieldLab, textsBelow } from "./field-lab.ts";

const asRoot = { skip: skipReason() };
/** By what is seen of them the two daemons share connections or do not. */
const MESH = /^hostmesh pair, mTLS h[12]$/;

for (const tls of [false, true]) {
  test(
    `across hosts every proxy runs on its own side, TLS ${tls ? "on" : "off"}`,
    asRoot,
    async (t) => {
      const lab = await openFieldLab(t, "cross-host");
      const upstream = await startUpstream(lab.bench, lab.site, { services: 1 });
      const { contestants, missing } = await lab.start({
        ...{ modes: ["direct", "host", "sidecar"], peers: ["hostmesh", ...OTHER_PEERS] },
        ...{ protocol: "http1", tls, upstreams: upstream.services },
      });
      const namespaceOf = (pid: number) => readlink(`/proc/${pid}/ns/net`);
      const behind = await namespaceOf(upstream.pid);
      assert.notEqual(behind, await namespaceOf(process.pid));
      for (const { name, mode, proxies, targets } of contestants) {
        const shared = MESH.test(name) ? ["b", "a"] : ["a"];
        const hosts = { direct: [], host: shared, sidecar: ["b", "a"] }[mode];
        assert.deepEqual(
          proxies.map(({ host }) => host),
          hosts,
          name,
        );
        for (const { pid, host } of proxies) {
          assert.equal((await namespaceOf(pid)) === behind, host === "b", name);
        }
        const { address } = mode === "direct" ? lab.site.b : lab.site.a;
        assert.ok(
          targets.every(({ host }) => host === address),
          name,
        );
      }
      const names = contestants.map(({ name }) => name);
      const reasons = new Map(missing.map(({ name, reason }) => [name, reason]));
      assert.equal(names.includes("hostmesh, one plain hop"), !tls);
      assert.equal(names.includes("hostmesh pair"), !tls);
      assert.equal(
        names.some((name) => MESH.test(name)),
        tls,
        JSON.stringify(missing),
      );
      if (!tls) return;
      for (const peer of OTHER_PEERS) {
        if (reasons.has(peer)) continue;
        assert.match(reasons.get(`${peer}, one plain hop`) ?? "", /measure its pair/);
        assert.ok(
          names.some((name) => name.startsWith(`${peer} pair, mTLS`)),
          peer,
        );
      }
    },
  );
}

const MESH_HOPS = [
  ["http1", ["mtls-http1", "mtls-http2"]],
  ["grpc", ["mtls-http2"]],
  ["tcp", ["mtls-tcp", "mtls-http2"]],
] as const;

for (const [protocol, hops] of MESH_HOPS) {
  test(
    `two daemons of hostmesh carry ${protocol} by mutual TLS, and nothing in clear text`,
    asRoot,
    async (t) => {
      const lab = await openFieldLab(t, "cross-host");
      const { services } = await startUpstream(lab.bench, lab.site, { services: 2 });
      const field = await lab.start({
        // Either mode asks for them; they are not started twice.
        ...{ modes: ["host", "sidecar"], peers: ["hostmesh"], protocol, tls: true },
        upstreams: services,
      });
      assert.deepEqual(field.missing, []);
      assert.equal(field.contestants.length, 1);
      const hop = hops.find((one) => field.contestants[0]?.between === one);
      assert.ok(hop !== undefined, field.contestants[0]?.between);
      const { proxies, targets, tlsPorts } = named(field, pairName("hostmesh", hop));
      assert.equal(proxies.length, 2, "one daemon for all services of the servers' host");
      assert.equal(new Set(targets.map(({ port }) => port)).size, 1);
      const client = proxies.find(({ host }) => host === "a");
      assert.ok(client !== undefined);
      // Closed connections stay visible for a minute.
      const upstreamPorts = services.map(({ port }) => port);
      const seen = await readSocketTable(client.pid, upstreamPorts.map(needleOfPort));
      const inClear = seen.filter(
        (row) => upstreamPorts.includes(row.remotePort) && wasEstablished(row),
      );
      assert.deepEqual(inClear, [], "the client's host never speaks to a service itself");
      const meshRows = await readSocketTable(client.pid, tlsPorts.map(needleOfPort));
      assert.ok(tlsPairs(meshRows, new Set(tlsPorts)).size >= 2, "one for each service at least");
      for (const [path, text] of await textsBelow(lab.configFolder)) {
        assert.doesNotMatch(text, /PRIVATE KEY|hm1\./, path);
      }
    },
  );
}
