import assert from "node:assert/strict";
import test from "node:test";
import { ServiceEntries } from "../../daemon/service-entries.ts";
import { SlotPool } from "../../daemon/slots.ts";
import { FakeClock } from "../../src/core/clock.ts";
import type { ServiceRef } from "../../src/core/traffic.ts";
import { service } from "./fixtures.ts";

function entries() {
  const state = { busy: () => false, reset: () => undefined };
  return new ServiceEntries(new SlotPool(4, state, new FakeClock()));
}

function touched(of: ServiceEntries, ref: ServiceRef): string[] {
  of.dirty.clear();
  of.touch(ref);
  return [...of.dirty].sort();
}

test("a reference touches the services that it may mean, and no others", () => {
  const of = entries();
  of.setService("default/web", service("web", { hosts: ["API.example.com"] }));
  of.setService("default/shop", service("shop", { hosts: ["api.example.com", "b.example.com"] }));
  assert.deepEqual(touched(of, "default/web"), ["default/web"]);
  assert.deepEqual(touched(of, "host:api.example.com"), ["default/shop", "default/web"]);
  assert.deepEqual(touched(of, "host:b.example.com"), ["default/shop"]);
  assert.deepEqual(touched(of, "host:web.default.svc.cluster.local"), ["default/web"]);
  assert.deepEqual(touched(of, "host:*.example.com"), ["default/shop", "default/web"]);
});

test("hosts that a service has lost, and services that are gone, are not touched any more", () => {
  const of = entries();
  of.setService("default/web", service("web", { hosts: ["a.example.com"] }));
  of.setService("default/web", service("web", { hosts: ["b.example.com"] }));
  assert.deepEqual(touched(of, "host:a.example.com"), []);
  assert.deepEqual(touched(of, "host:b.example.com"), ["default/web"]);
  of.setService("default/web", null);
  assert.deepEqual(touched(of, "host:b.example.com"), []);
});

test("an exact host is looked up and not compared with every service", () => {
  const of = entries();
  let reads = 0;
  for (let index = 0; index < 100; index++) {
    const hosts = [`h${index}.example.com`];
    const record = service(`s${index}`, { hosts });
    const counted = Object.defineProperty({ ...record }, "hosts", {
      get() {
        reads++;
        return hosts;
      },
    });
    of.setService(`default/s${index}`, counted);
  }
  const before = reads;
  assert.deepEqual(touched(of, "host:h7.example.com"), ["default/s7"]);
  assert.equal(reads, before);
});
