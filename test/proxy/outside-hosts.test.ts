import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import type { HostPort } from "../../src/core/address.ts";
import type { DataService, DataWorkload } from "../../src/core/snapshot.ts";
import type { ClientScope } from "../../src/core/traffic.ts";
import { endpoint, planeLab, service } from "../helpers/plane.ts";
import { answering, RawClient, rawServer } from "../helpers/raw.ts";
import { until } from "../helpers/until.ts";

const OK = (name: string) => `HTTP/1.1 200 OK\r\ncontent-length: ${name.length}\r\n\r\n${name}`;
const get = (host: string) => `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`;

const client: DataWorkload = {
  ...{ slot: 0, key: "default/client", name: "client", namespace: "default" },
  ...{ serviceAccount: "client", addresses: ["127.0.0.1"] },
};
const registryOnly: ClientScope = {
  ...{ source: "Sidecar default/default", createdMs: 1, namespace: "default", labels: {} },
  ...{ egress: null, outside: "refuse" },
};

/** A captured client that may not leave the mesh, and dials what `place` says: some server outside, at first. */
async function stage(t: TestContext) {
  const [inside, outside] = await Promise.all([
    rawServer(answering(OK("inside"))),
    rawServer(answering(OK("outside"))),
  ]);
  let place: HostPort = { host: "127.0.0.9", port: outside.port };
  const lab = await planeLab({
    config: { detection: { peekMs: 50 } },
    destination: { of: () => place },
  });
  t.after(async () => {
    await lab.close();
    await inside.close();
    await outside.close();
  });
  const known = {
    ...service("known", [endpoint(inside.port)]),
    hosts: ["known.example"],
    ports: [{ name: "", port: outside.port, protocol: "http" as const }],
  };
  const dialled: DataService = {
    ...service("dialled", []),
    ...{ hosts: ["*.dialled.example"], ports: known.ports },
    originalDestination: true,
  };
  lab.plane.apply({
    ...{ revision: 9, full: true, services: [known, dialled], workloads: [client] },
    ...{ removedServices: [], removedWorkloads: [], scopes: [registryOnly] },
  });
  /** The first line and the body of the answer; "": the connection was closed without one. */
  const ask = async (text: string): Promise<string> => {
    const raw = await RawClient.open(lab.port);
    t.after(() => raw.close());
    raw.socket.write(text);
    await until(() => raw.ended || /\r\n\r\n.+/s.test(raw.received));
    return raw.received.replace(/\r\n.*\r\n/s, " ");
  };
  const goTo = (next: HostPort): void => {
    place = next;
  };
  return { ask, outside, goTo };
}

test("who may not leave the mesh reaches the hosts that are registered, by their name", async (t) => {
  const { ask, outside, goTo } = await stage(t);
  assert.match(await ask(get("known.example")), /200 OK inside/);
  goTo({ host: "127.0.0.1", port: outside.port });
  assert.match(await ask(get("a.dialled.example")), /200 OK outside/);
});

test("and nothing else: not another host, nor anything that is no HTTP", async (t) => {
  const { ask, goTo, outside } = await stage(t);
  goTo({ host: "127.0.0.1", port: outside.port });
  assert.match(await ask(get("other.example")), /^HTTP\/1\.1 404/);
  assert.equal(await ask("\0\0binary\n"), "");
  assert.equal(outside.sockets.length, 0);
});
