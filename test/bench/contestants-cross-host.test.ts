import assert from "node:assert/strict";
import { readlink } from "node:fs/promises";
import { test } from "node:test";
import { startUpstream } from "../../bench/upstream/start-upstream.ts";
import { skipReason } from "../netns/helpers/privilege.ts";
import { OTHER_PEERS, openFieldLab } from "./field-lab.ts";

const asRoot = { skip: skipReason() };

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
        const hosts = { direct: [], host: ["a"], sidecar: ["b", "a"] }[mode];
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
      if (!tls) return;
      assert.match(reasons.get("hostmesh, one plain hop") ?? "", /no TLS with each other yet/);
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
