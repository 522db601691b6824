import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { peer } from "../../helpers/h2-peers.ts";
import { assertAllPassed, failuresOf, runH2spec } from "../../helpers/h2spec.ts";
import { bridgeTo } from "../../helpers/h2spec-bridge.ts";
import { credentialsOf, issue, newAuthority, rawClient, spiffe } from "../../helpers/mesh-lab.ts";
import { endpoint, planeLab, service } from "../../helpers/plane.ts";

/**
 * All cases of h2spec against the HTTP/2 that hosts speak to each other: `H2SPEC=/path/to/h2spec node --test
 * test/http/h2/h2spec-mesh.ts`. It has no certificate, so that it speaks to a port in the clear, from where its bytes go on
 * over mutual TLS. Not among the tests of `npm test`, as h2spec.ts.
 */
const WEB = spiffe("web");

interface Entrance {
  readonly port: number;
  /** Requests that have reached the endpoint. */
  served(): number;
}

/** A port that leads to the mesh port of a host. `asks`: each request says which endpoint it is for, as a host's do. */
async function meshBridge(t: TestContext, asks: boolean): Promise<Entrance> {
  let count = 0;
  const server = await peer(2, (incoming, response) => {
    count += 1;
    incoming.resume();
    incoming.on("end", () => response.end("hello"));
  });
  t.after(() => server.close());
  const authority = newAuthority();
  const lab = await planeLab({ config: { host: "node-b" } });
  t.after(() => lab.close());
  const { port } = await lab.plane.listen({
    ...{ entry: "mesh", host: "127.0.0.1", port: 0, reusePort: false },
  });
  lab.plane.setCredentials(credentialsOf([authority], [issue(authority, WEB)]));
  lab.services(service("web", [endpoint(server.port, { identity: WEB })], { protocol: "http2" }));
  const caller = issue(authority, spiffe("caller"));
  const dial = async () => {
    const socket = await rawClient(port, caller, WEB, { ALPNProtocols: ["h2"] });
    if (socket instanceof Error || socket.alpnProtocol === "h2") return socket;
    return new Error("the mesh port does not speak h2");
  };
  const fields = [
    ...["x-hostmesh-endpoint", `127.0.0.1:${server.port}`],
    ...["x-hostmesh-client", "10.0.0.9", "x-hostmesh-protocol", "h2"],
  ];
  const bridge = await bridgeTo(dial, asks ? fields : []);
  t.after(() => bridge.close());
  return { port: bridge.port, served: () => count };
}

/**
 * What asks for nothing is answered at once with 400 and without content. So two cases wait in vain for content, four that want to see
 * the window of a stream at work are skipped, and no number of requests comes to the limit of streams at once.
 */
const NEED_CONTENT = ["2/2", "2/3", "5.1.2/1"];

describe("h2spec between hosts", () => {
  test("passes all 146 cases, and the strict one, by requests for an endpoint", async (t) => {
    const { port, served } = await meshBridge(t, true);
    assertAllPassed(await runH2spec(port, "--strict"), 147);
    assert.ok(served() > 50, `${served()} requests at the endpoint`);
  });

  test("passes what can be passed by requests that ask for nothing", async (t) => {
    const { port, served } = await meshBridge(t, false);
    const said = await runH2spec(port, "--strict");
    assert.deepEqual(failuresOf(said), NEED_CONTENT, said);
    assert.match(said, /147 tests, 140 passed, 4 skipped, 3 failed/);
    assert.equal(served(), 0);
  });
});
