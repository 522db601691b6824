import assert from "node:assert/strict";
import { test } from "node:test";
import { startUpstream } from "../../bench/upstream/start-upstream.ts";
import { OTHER_PEERS, openFieldLab } from "./field-lab.ts";

for (const tls of [false, true]) {
  test(`opaque TCP goes through every contestant, TLS ${tls ? "on" : "off"}`, async (t) => {
    const lab = await openFieldLab(t, "same-host");
    const { services } = await startUpstream(lab.bench, lab.site, { services: 2 });
    const { contestants, missing } = await lab.start({
      ...{ modes: ["direct", "host", "sidecar"], peers: ["hostmesh", ...OTHER_PEERS] },
      ...{ protocol: "tcp", tls, upstreams: services },
    });
    const title = tls ? "pair, mTLS tcp" : "pair";
    const pairs = OTHER_PEERS.map((peer) => `${peer} ${title}`);
    const wanted = ["direct", "hostmesh", ...OTHER_PEERS, ...pairs, `hostmesh ${title}`];
    // Whole bodies came through each before it counted; a peer that is not installed stands for both of its modes.
    const absent = missing.map(({ name }) => name);
    assert.deepEqual(
      [...contestants.map(({ name }) => name), ...absent].sort(),
      wanted.filter((name) => !absent.some((one) => name === `${one} ${title}`)).sort(),
    );
    assert.ok(absent.includes(`hostmesh ${title}`));
    for (const { name, peer, mode, between, targets, tlsPorts } of contestants) {
      const authorities = targets.map(({ authority }) => authority);
      const isConnect = peer === "hostmesh";
      assert.deepEqual(
        authorities,
        isConnect ? ["web-0:80", "web-1:80"] : ["web-0", "web-1"],
        name,
      );
      assert.ok(
        targets.every(({ connect }) => connect === isConnect),
        name,
      );
      // Bytes say nothing of whom they are for: everybody but CONNECT needs a port for each service.
      assert.equal(new Set(targets.map(({ port }) => port)).size, isConnect ? 1 : 2, name);
      const isTls = tls && mode === "sidecar";
      assert.equal(between, mode !== "sidecar" ? "none" : isTls ? "mtls-tcp" : "plain", name);
      assert.equal(tlsPorts.length, isTls ? 2 : 0, name);
    }
  });
}
