import assert from "node:assert/strict";
import { once } from "node:events";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Program } from "../../netns/helpers/program.ts";
import { ScratchFolder } from "../../netns/helpers/scratch-folder.ts";
import { KubeLab } from "../kube-lab.ts";
import { pathOf } from "../objects.ts";
import { kubeSkipReason } from "../programs.ts";
import { serveExec } from "./exec-requests.ts";
import { buildPublished } from "./published-programs.ts";

/**
 * Gateway API's own tests of a mesh, with the resources of the same version: `node --test test/kube/gateway-mesh/published-suite.ts`.
 * Not among the tests of `npm test`, which has the same in `conformance.test.ts`: Go builds them for minutes.
 */

const KUBELET_PORT = 10_250;
const FEATURES = [
  ...["Mesh", "HTTPRoute", "GRPCRoute", "MeshClusterIPMatching", "MeshConsumerRoute"],
  ...["HTTPRouteResponseHeaderModification", "HTTPRouteParentRefPort"],
  ...["HTTPRoute303RedirectStatusCode", "HTTPRoute307RedirectStatusCode"],
  ...["HTTPRoute308RedirectStatusCode", "MeshHTTPRouteRewritePath", "MeshHTTPRouteRedirectPath"],
  ...["MeshHTTPRouteRedirectPort", "MeshHTTPRouteSchemeRedirect"],
  ...["MeshHTTPRouteQueryParamMatching", "MeshHTTPRouteBackendRequestHeaderModification"],
  "MeshHTTPRouteNamedRouteRule",
];
/** Of v1.6.3. */
const TESTS = 22;

describe("the published tests of Gateway API", { skip: kubeSkipReason("go") }, () => {
  const folder = new ScratchFolder();
  let lab: KubeLab;
  let closeExec: () => void = () => undefined;
  let suite: string;
  before(async () => {
    const programs = buildPublished(folder.path);
    suite = programs.suite;
    lab = await KubeLab.create();
    await lab.cluster.admin.apply(...programs.definitions);
    const socketPath = join(folder.path, "exec.sock");
    const server = serveExec(lab, socketPath);
    await once(server, "listening");
    closeExec = () => server.close();
    for (const node of lab.nodes) {
      const { address4, namespace } = node.host;
      new Program(namespace, programs.exec, [`${address4}:${KUBELET_PORT}`, socketPath]);
      // The API server would take the name first, which nothing here resolves.
      const addresses = [{ type: "InternalIP", address: address4 }];
      const daemonEndpoints = { kubeletEndpoint: { Port: KUBELET_PORT } };
      const object = await lab.cluster.admin.get(pathOf("v1", "Node", { name: node.name }));
      assert.ok(object !== null);
      await lab.cluster.admin.merge(object, { status: { addresses, daemonEndpoints } }, "status");
    }
  });
  after(async () => {
    closeExec();
    await lab?.destroy();
    folder.remove();
  });

  test("all tests of a mesh pass", async (t) => {
    const flags = [
      ...["-test.v", "-test.timeout=9m", "--conformance-profiles=MESH-HTTP,MESH-GRPC"],
      ...[`--supported-features=${FEATURES}`, "--namespace-labels=hostmesh.io/inject=enabled"],
    ];
    const kubeconfig = lab.cluster.kubeconfig("suite", lab.cluster.tokens.admin);
    const env = { KUBECONFIG: kubeconfig };
    const program = new Program(lab.home.host.namespace, suite, flags, env);
    let said = "";
    program.child.stdout?.on("data", (text: string) => {
      said += text;
    });
    await program.end();
    const outcomes = [...said.matchAll(/^ {4}--- (\w+): TestConformance\/(Mesh\w+)/gm)].map(
      ([, outcome = "", name = ""]) => [name, outcome],
    );
    for (const [name, outcome] of outcomes) t.diagnostic(`${outcome} ${name}`);
    const failed = outcomes.filter(([, outcome]) => outcome !== "PASS");
    assert.deepEqual([outcomes.length, failed], [TESTS, []], said.slice(-20_000));
  });
});
