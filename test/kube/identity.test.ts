import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { makeRequest } from "../../daemon/identity/make-request.ts";
import { hostSpiffeId } from "../../src/core/identity.ts";
import { until } from "../helpers/until.ts";
import { Script } from "../netns/helpers/program.ts";
import type { HttpsAnswer } from "../netns/helpers/thief.ts";
import { accountObject, allowObject, podObject, serviceObject, tokenVolume } from "./install.ts";
import { KubeLab } from "./kube-lab.ts";
import { ADDRESS_ANNOTATION } from "./kubelet.ts";
import { type KubeObject, pathOf } from "./objects.ts";
import { kubeSkipReason } from "./programs.ts";

const NAMESPACE = "bank";
const spiffe = (account: string) => `spiffe://cluster.local/ns/${NAMESPACE}/sa/${account}`;
/** Who hands its address on, within what the node has for pods. */
const REUSED = "10.1.0.77";

/** What `prober.ts` says. */
interface Probed {
  readonly counts: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

describe("identities in a cluster", { skip: kubeSkipReason() }, () => {
  let lab: KubeLab;
  /** Servers on both nodes: `vault` lets only `owner` in, `open` everybody. */
  let urls: Record<"vault1" | "vault2" | "open1" | "open2", string>;
  before(async () => {
    lab = await KubeLab.create();
    await lab.namespace(NAMESPACE, "owner", "heir", "vault", "open");
    const names = ["vault1", "vault2", "open1", "open2"] as const;
    const pods = await Promise.all(names.map((name) => server(name)));
    urls = Object.fromEntries(
      names.map((name, at) => [name, `http://${pods[at]?.["status"].podIP}:8080/`]),
    ) as typeof urls;
    // Mutual TLS between nodes is for endpoints of services.
    await lab.cluster.admin.apply(
      serviceObject("vault", NAMESPACE),
      serviceObject("open", NAMESPACE),
      allowObject("vault", NAMESPACE, [spiffe("owner").slice("spiffe://".length)]),
    );
    await lab.untilCaptured(...pods);
  });
  after(() => lab?.destroy());

  function server(name: string): Promise<KubeObject> {
    const account = name.slice(0, -1);
    const labels = { app: account };
    const [node, image] = [`n${name.at(-1)}`, "server"] as const;
    return lab.pod({ name, namespace: NAMESPACE, account, node, image, labels });
  }

  const prober = (name: string, account: string) =>
    podObject({
      ...{ name, namespace: NAMESPACE, account, node: "n1", image: "prober" },
      ...{ args: Object.values(urls), annotations: { [ADDRESS_ANNOTATION]: REUSED } },
    });

  const probed = async (name: string) =>
    (await lab.script(`${NAMESPACE}/${name}`).ask<Probed>({})).counts;

  /** Waits until the prober's newest calls all had these outcomes: of the vaults, and of the others. */
  async function untilOutcome(name: string, atVaults: string, elsewhere: string): Promise<void> {
    let seen: Probed["counts"] = {};
    const isSo = async () => {
      seen = await probed(name);
      return Object.entries(urls).every(([server, url]) => {
        const wanted = server.startsWith("vault") ? atVaults : elsewhere;
        return Object.keys(seen[url] ?? {}).join() === wanted;
      });
    };
    await until(isSo, { timeoutMs: 30_000, what: `${name} as its own account` }).catch(
      (cause: unknown) => {
        throw new Error(JSON.stringify(seen), { cause });
      },
    );
  }

  /** Outcomes that only the account `owner` may have. */
  function stolen(counts: Probed["counts"]): string[] {
    return Object.entries(urls).flatMap(([server, url]) =>
      Object.keys(counts[url] ?? {})
        .filter((outcome) =>
          server.startsWith("vault") ? outcome.startsWith("200") : outcome.includes("/sa/owner"),
        )
        .map((outcome) => `${server}: ${outcome}`),
    );
  }

  /** `heir` gets the address of `owner` at once, and must at no time be taken for it. */
  async function handOver(before: () => void = () => undefined): Promise<void> {
    const { admin } = lab.cluster;
    const owner = await lab.ready(await admin.create(prober("owner", "owner")));
    const asOwner = `200 ${spiffe("owner")}`;
    await untilOutcome("owner", asOwner, asOwner);
    const heir = await admin.create(prober("heir", "heir"));
    before();
    await admin.remove(owner, { gracePeriodSeconds: 1 });
    await lab.ready(heir);
    const gapMs = lab.kubelets[0]?.gapsMs.get(REUSED) ?? Number.POSITIVE_INFINITY;
    assert.ok(gapMs < 1_000, `the address was free for ${gapMs} ms`);
    const deadlineMs = performance.now() + 3_000;
    while (performance.now() < deadlineMs) {
      const counts = await probed("heir");
      assert.deepEqual(stolen(counts), [], JSON.stringify(counts));
    }
  }

  test("an address that is used again within a second never brings the old identity", async () => {
    for (let round = 0; round < 3; round += 1) {
      await handOver();
      await untilOutcome("heir", "403", `200 ${spiffe("heir")}`);
      await gone("heir");
    }
  });

  test("nor does it while the registry hangs", async () => {
    const [registry] = lab.replicas;
    assert.ok(registry !== undefined);
    try {
      await handOver(() => void registry.program.child.kill("SIGSTOP"));
    } finally {
      registry.program.child.kill("SIGCONT");
    }
    await untilOutcome("heir", "403", `200 ${spiffe("heir")}`);
    await gone("heir");
  });

  async function gone(name: string): Promise<void> {
    const { admin } = lab.cluster;
    const path = pathOf("v1", "Pod", { namespace: NAMESPACE, name });
    await admin.must("DELETE", path, { gracePeriodSeconds: 1 });
    await until(async () => (await admin.get(path)) === null, { what: `the end of ${name}` });
  }

  describe("somebody who has broken into a node", () => {
    let thief: Script;
    before(async () => {
      const [node] = lab.nodes;
      assert.ok(node !== undefined);
      thief = await Script.start(node.host.namespace, "tls-agent");
    });

    /** A call of the registry's API on TLS, with the certificate of the node or none. */
    function call(path: string, body: object, shown: object = {}): Promise<HttpsAnswer> {
      const url = `${lab.replicas[0]?.tlsUrl}${path}`;
      return thief.ask<HttpsAnswer>({ op: "https", method: "POST", url, body, ...shown });
    }

    function ofNode(): object {
      const [node] = lab.nodes;
      assert.ok(node !== undefined);
      const folder = join(lab.daemonOf(node).folder, "data", "identity");
      const [cert, key] = ["host.pem", "host.key"].map((name) =>
        readFileSync(join(folder, name), "utf8"),
      );
      return { cert, key };
    }

    /** Asks for the identity; resolves with what was given or said. */
    async function ask(identity: string): Promise<{ chain?: string; error?: string }> {
      const requests = [{ identity, csr: makeRequest(identity).csr }];
      const { status, text = "" } = await call("/v1/identity/certificates", { requests }, ofNode());
      assert.equal(status, 200, text);
      return JSON.parse(text).certificates[0];
    }

    test("gets certificates of pods that the API server has placed there, and of no others", async () => {
      const lone = await lab.pod({
        ...{ name: "lone", namespace: NAMESPACE, account: "default", node: "n2", image: "client" },
      });
      await lab.untilCaptured(lone);
      // A pod that would have the identity of another node's daemon, if namespaces were not told apart.
      await lab.namespace("hostmesh-hosts", "n2");
      await lab.pod({
        ...{ name: "double", namespace: "hostmesh-hosts", account: "n2", node: "n1" },
        image: "client",
      });
      assert.match((await ask(spiffe("vault"))).chain ?? "", /BEGIN CERTIFICATE/, "its own");
      for (const identity of [
        ...[spiffe("default"), hostSpiffeId("cluster.local", "n2")],
        spiffe("heir"),
        "spiffe://cluster.local/ns/kube-system/sa/default",
        "spiffe://cluster.local/ns/hostmesh-system/sa/hostmesh-registry",
      ]) {
        const { chain, error } = await ask(identity);
        assert.deepEqual([chain, typeof error], [undefined, "string"], identity);
      }
    });

    /** The node's own pod with this account asks for a token, and tries to enrol by it. */
    async function enrol(account: string, audience: string, host: string): Promise<HttpsAnswer> {
      const { admin } = lab.cluster;
      const namespace = "hostmesh-system";
      const name = `try-${account}`;
      await admin.apply(accountObject(account, namespace));
      const wish = podObject({ name, namespace, account, node: "n1", image: "client" });
      const spec = { ...wish["spec"], volumes: [tokenVolume(audience)] };
      const pod = await lab.ready(await admin.create({ ...wish, spec }));
      const path = pathOf("v1", "ServiceAccount", { namespace, name: account, sub: "token" });
      const boundObjectRef = { kind: "Pod", apiVersion: "v1", name, uid: pod.metadata.uid };
      const { status } = await admin.must("POST", path, {
        ...{ apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest" },
        spec: { audiences: [audience], boundObjectRef },
      });
      const { csr } = makeRequest(hostSpiffeId("cluster.local", host));
      const proof = { serviceAccountToken: status.token, host, csr };
      const answer = await call("/v1/identity/enroll", proof);
      await admin.remove(pod, { gracePeriodSeconds: 0 });
      return answer;
    }

    test("cannot enrol by tokens of other accounts, for others, or as another node", async () => {
      const daemon = "hostmesh-daemon";
      const own = await enrol(daemon, "hostmesh", "n1");
      assert.equal(own.status, 200, own.text);
      const refusals = [
        await enrol("hostmesh-registry", "hostmesh", "n1"),
        await enrol(daemon, "vault", "n1"),
        await enrol(daemon, "hostmesh", "n2"),
      ];
      for (const { status, text } of refusals) assert.equal(status, 403, text);
    });
  });
});
