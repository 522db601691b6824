import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import test from "node:test";
import { IdentityService } from "../../../daemon/identity/identity-service.ts";
import { type ConfigInput, configSchema } from "../../../src/config/schema.ts";
import type { Credentials } from "../../../src/core/identity.ts";
import type { Change } from "../../../src/core/model.ts";
import {
  IdentityRegistry,
  type ServedRegistry,
  serveIdentities,
} from "../../helpers/identity-registry.ts";
import { until } from "../../helpers/until.ts";
import { FakeTime } from "../../registry/fake-time.ts";
import { memoryLog } from "../fixtures.ts";

const HOST_ID = "spiffe://cluster.local/ns/hostmesh-hosts/sa/node-a";
const id = (name: string) => `spiffe://cluster.local/ns/shop/sa/${name}`;

interface More {
  readonly identity?: ConfigInput["identity"];
  readonly joinToken?: string;
  readonly urls?: string[];
  readonly tlsUrl?: string;
}

/** A daemon's identities and a registry on TLS; the time stands still unless it is moved. */
async function setUp(t: TestContext) {
  const dataDir = await mkdtemp(join(tmpdir(), "hostmesh-identities-"));
  const registry = new IdentityRegistry();
  const served: ServedRegistry = await serveIdentities(registry);
  const services: IdentityService[] = [];
  t.after(async () => {
    await Promise.all(services.map((service) => service.stop()));
    await served.close();
    await rm(dataDir, { recursive: true, force: true });
  });
  const time = new FakeTime();
  const startMs = Date.now();

  const make = (more: More = {}) => {
    const { log, lines } = memoryLog();
    const told: Credentials[] = [];
    let enrolments = 0;
    const config = configSchema.parse({
      ...{ host: "node-a", dataDir, identity: more.identity ?? {} },
      registry: { urls: more.urls ?? [served.url], tlsUrl: more.tlsUrl ?? "" },
    });
    const service = new IdentityService({
      ...{ config, timers: time, random: () => 0, log, meshPort: 15_008 },
      wall: () => startMs + time.now(),
      ...(more.joinToken === undefined ? {} : { joinToken: more.joinToken }),
      onCredentials: (credentials) => told.push(credentials),
      onEnrolled: () => {
        enrolments++;
      },
    });
    services.push(service);
    return { service, told, lines, enrolments: () => enrolments };
  };
  /** Lets time pass in small steps until something has come of it. */
  const passUntil = (condition: () => boolean, what: string) =>
    until(
      () => {
        time.advance(10);
        return condition();
      },
      { what },
    );
  const started = async (service: IdentityService) => {
    let isOver = false;
    const over = service.start().finally(() => {
      isOver = true;
    });
    await passUntil(() => isOver, "the start");
    await over;
  };
  return { registry, served, time, make, passUntil, started };
}

const trustChange = (registry: IdentityRegistry): Change => ({
  ...{ kind: "trust", key: "trust" },
  value: registry.trust(),
});

test("a host enrols, gets its workloads' certificates, and tells everything as a whole", async (t) => {
  const { registry, served, make, passUntil, started } = await setUp(t);
  const { service, told, enrolments } = make({ joinToken: registry.token });
  await started(service);
  service.onUpdate([trustChange(registry)], [HOST_ID, id("cart"), id("web")]);
  await passUntil(() => told.at(-1)?.held.length === 3, "all certificates");
  const newest = told.at(-1);
  assert.deepEqual(
    newest?.held.map(({ identity }) => identity),
    [HOST_ID, id("cart"), id("web")],
  );
  assert.deepEqual(newest?.anchors, registry.anchors);
  assert.equal(newest?.ticketKeys.length, 48);
  assert.equal(enrolments(), 1);
  assert.deepEqual(service.mesh(), { address: "", port: 15_008 });
  const calls = served.calls.filter(({ path }) => path.endsWith("/certificates"));
  assert.deepEqual(
    calls.map(({ caller }) => caller),
    [HOST_ID],
  );
  const state = service.state();
  assert.equal(state.host?.state, "valid");
  assert.deepEqual(state.renewals, { issued: 3, failed: 0, refused: 0 });
  assert.ok(!JSON.stringify(state).includes("PRIVATE"));
});

test("plain registries are never asked: registry.tlsUrl is", async (t) => {
  const { registry, served, make, passUntil, started } = await setUp(t);
  const urls = ["http://127.0.0.1:1"];
  const { service } = make({ joinToken: registry.token, urls, tlsUrl: served.url });
  await started(service);
  await passUntil(() => service.tls() !== null, "the enrolment");
});

test("with mode off nothing is asked, told or warned of", async (t) => {
  const { registry, served, make, time } = await setUp(t);
  const { service, lines } = make({ joinToken: registry.token, identity: { mode: "off" } });
  await service.start();
  service.onUpdate([trustChange(registry)], [id("web")]);
  assert.equal(time.pending(), 0);
  assert.deepEqual([service.credentials(), lines, served.calls], [null, [], []]);
});

test("with mode required a host without a token does not start", async (t) => {
  const { make } = await setUp(t);
  const { service } = make({ identity: { mode: "required" } });
  await assert.rejects(service.start(), /neither a certificate .* nor a join token/);
});

test("with mode required a start with a refused token ends at once", async (t) => {
  const { registry, make, time } = await setUp(t);
  const joinToken = `hm1.other.secret.${registry.issuer}`;
  const { service } = make({ identity: { mode: "required" }, joinToken });
  const started = assert.rejects(service.start(), /join token is not valid/);
  await until(() => time.pending() > 1);
  time.advance(0);
  await started;
});

test("with mode required a registry that is away is waited for, and not for ever", async (t) => {
  const { registry, served, make, time } = await setUp(t);
  registry.failure = new Error("away");
  const { service } = make({ identity: { mode: "required" }, joinToken: registry.token });
  const started = assert.rejects(service.start(), /no identity within 30 s: .*(500|no answer)/);
  await until(() => time.pending() > 1);
  time.advance(0);
  await until(() => served.calls.some(({ path }) => path.endsWith("/enroll")));
  await until(() => (service.state().host?.failure ?? null) !== null);
  time.advance(30_000);
  await started;
});

test("changes within 50 ms are told together, the first of them at once", async (t) => {
  const { registry, make, time, started } = await setUp(t);
  const { service, told } = make({ joinToken: registry.token });
  await started(service);
  assert.equal(told.length, 1);
  time.advance(50);
  told.length = 0;
  const change = () => {
    registry.rotate();
    service.onUpdate([trustChange(registry)], []);
  };
  change();
  assert.equal(told.length, 1);
  change();
  change();
  assert.equal(told.length, 1);
  time.advance(49);
  assert.equal(told.length, 1);
  time.advance(1);
  assert.equal(told.length, 2);
  assert.equal(told[1]?.anchors.length, 4);
});

test("new anchors come with new ticket keys; the same ones in another order do not", async (t) => {
  const { registry, make, time, passUntil, started } = await setUp(t);
  const { service, told } = make({ joinToken: registry.token });
  await started(service);
  await passUntil(() => told.length > 0, "the host's own certificate");
  const keys = () => Buffer.from(service.credentials()?.ticketKeys ?? []).toString("hex");
  const before = keys();
  service.onUpdate([trustChange(registry)], []);
  assert.equal(keys(), before);
  registry.rotate();
  service.onUpdate([trustChange(registry)], []);
  const after = keys();
  assert.notEqual(after, before);
  registry.anchors.reverse();
  service.onUpdate([trustChange(registry)], []);
  assert.equal(keys(), after);
  time.advance(1_000);
});

test("when another authority signs, host and workloads are renewed, in the new order of trust", async (t) => {
  const { registry, make, passUntil, started } = await setUp(t);
  const { service, told } = make({ joinToken: registry.token });
  await started(service);
  service.onUpdate([trustChange(registry)], [id("web")]);
  await passUntil(() => told.at(-1)?.held.length === 2, "both certificates");
  const before = told.at(-1)?.held.map(({ chain }) => chain) ?? [];
  registry.rotate();
  service.onUpdate([trustChange(registry)], [id("web")]);
  await passUntil(
    () => told.at(-1)?.held.every(({ chain }) => !before.includes(chain)) === true,
    "both renewed",
  );
  assert.equal(registry.renewals, 1);
});

test("the anchors of another trust domain are left", async (t) => {
  const { registry, make, passUntil, started } = await setUp(t);
  const { service, lines } = make({ joinToken: registry.token });
  await started(service);
  await passUntil(() => service.tls() !== null, "the enrolment");
  const value = { ...registry.trust(), trustDomain: "other.domain", anchors: ["x"] };
  service.onUpdate([{ kind: "trust", key: "trust", value }], []);
  assert.deepEqual(service.credentials()?.anchors, registry.anchors);
  assert.ok(lines.some(({ message }) => message.includes("another trust domain")));
});

test("the next start serves what is stored while the registry is away, and asks for the rest later", async (t) => {
  const { registry, served, make, passUntil, started } = await setUp(t);
  const first = make({ joinToken: registry.token });
  await started(first.service);
  await passUntil(() => first.service.tls() !== null, "the enrolment");
  await first.service.stop();
  await served.close();
  const { service, told } = make();
  await service.start();
  assert.equal(told[0]?.held[0]?.identity, HOST_ID);
  assert.deepEqual(told[0]?.anchors, registry.anchors);
});

test("a start waits two seconds for a registry that is silent, and serves without", async (t) => {
  const { registry, served, make, time } = await setUp(t);
  registry.enrol = () => new Promise(() => undefined);
  const { service, told } = make({ joinToken: registry.token });
  const over = service.start();
  await until(() => time.pending() > 1);
  time.advance(0);
  await until(() => served.calls.some(({ path }) => path.endsWith("/enroll")));
  time.advance(2_000);
  await over;
  assert.deepEqual([service.credentials(), told], [null, []]);
});

test("the workloads' certificates are waited for, but not those that are refused", async (t) => {
  const { registry, make, passUntil, started } = await setUp(t);
  const { service } = make({ joinToken: registry.token });
  await started(service);
  registry.refused.set(id("cart"), "not here");
  let isSettled = false;
  const settled = service.settled(60_000).then(() => {
    isSettled = true;
  });
  service.onUpdate([trustChange(registry)], [id("cart"), id("web")]);
  assert.equal(isSettled, false);
  await passUntil(() => isSettled, "the certificates");
  await settled;
  assert.deepEqual(
    service.credentials()?.held.map(({ identity }) => identity),
    [HOST_ID, id("web")],
  );
});

test("without an identity nothing is waited for", async (t) => {
  const { make, time } = await setUp(t);
  const { service } = make();
  await service.start();
  await service.settled(60_000);
  assert.equal(time.pending(), 0);
});
