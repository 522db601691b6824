import assert from "node:assert/strict";
import { test } from "node:test";
import { podFactsOf } from "../../../src/kubernetes/source/pod-facts.ts";
import { PodTable, type Sighting } from "../../../src/kubernetes/source/pod-table.ts";
import { IN, podOf, RULES } from "./cluster-lab.ts";

const TOLD: Sighting = { list: null, version: "1" };
const X = "10.1.0.1";

interface Seen {
  readonly startTime?: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

function tableOfPods() {
  const table = new PodTable(RULES);
  const owners = new Map<string, readonly string[]>();
  return {
    see(name: string, ip: string, sighting: Sighting, { startTime, metadata }: Seen = {}) {
      const status = startTime === undefined ? {} : { startTime };
      const pod = podOf(name, ip, { status, metadata: { labels: IN, ...metadata } });
      const facts = podFactsOf(pod);
      assert.ok(facts !== null);
      table.set(name, facts, sighting);
    },
    remove: (name: string) => table.remove(name),
    /** Who has this address, by what was said of records so far. */
    ownersOf(address: string): string[] {
      for (const { key, value } of table.takeChanged(100)) {
        owners.set(key, value?.addresses ?? []);
      }
      return [...owners].flatMap(([key, held]) => (held.includes(address) ? [key] : []));
    },
  };
}

const EARLY = { startTime: "2026-01-01T00:00:00Z" };
const LATE = { startTime: "2026-01-01T00:03:00Z" };

test("an address is that pod's that got it last, whenever the pods were started", () => {
  const pods = tableOfPods();
  pods.see("a", "10.1.0.9", TOLD, EARLY);
  pods.see("b", X, TOLD, LATE);
  assert.deepEqual(pods.ownersOf(X), ["b"]);
  // The node has started again: what was b's is a's, and of b nobody has said anything new yet.
  pods.see("a", X, TOLD, EARLY);
  assert.deepEqual(pods.ownersOf(X), ["a"]);
  // What b says with its former address is no new claim.
  pods.see("b", X, TOLD, { ...LATE, metadata: { labels: { ...IN, more: "yes" } } });
  assert.deepEqual(pods.ownersOf(X), ["a"]);
  // Had it another meanwhile, it is one.
  pods.see("b", "10.1.0.2", TOLD, LATE);
  pods.see("b", X, TOLD, LATE);
  assert.deepEqual(pods.ownersOf(X), ["b"]);
  pods.remove("b");
  assert.deepEqual(pods.ownersOf(X), ["a"]);
});

test("another pod of the same name claims its address anew", () => {
  const pods = tableOfPods();
  pods.see("a", X, TOLD);
  pods.see("b", X, TOLD);
  pods.see("a", X, TOLD, { metadata: { uid: "uid-of-another" } });
  assert.deepEqual(pods.ownersOf(X), ["a"]);
});

test("what is new in a list is newer than what was known before it", () => {
  const pods = tableOfPods();
  pods.see("b", X, { list: "10", version: "9" }, LATE);
  pods.see("a", X, { list: "20", version: "8" }, EARLY);
  pods.see("b", X, { list: "20", version: "19" }, LATE);
  assert.deepEqual(pods.ownersOf(X), ["a"]);
});

const made = (creationTimestamp: string, uid: string) => ({ metadata: { creationTimestamp, uid } });
const OLD = "2025-12-31T00:00:00Z";
const NEW = "2025-12-31T00:00:01Z";

// Of two pods in one list the second has the address.
const LISTED: Readonly<Record<string, readonly [[string, Seen], [string, Seen]]>> = {
  "started last": [
    ["20", { ...made(NEW, "z"), ...EARLY }],
    ["9", { ...made(OLD, "y"), ...LATE }],
  ],
  // Versions are numbers, however long.
  "written last": [
    ["9", made(NEW, "z")],
    ["18446744073709551617", made(OLD, "y")],
  ],
  "made last": [
    ["9", made(OLD, "z")],
    ["9", made(NEW, "y")],
  ],
  "with the greater UID": [
    ["opaque", made(OLD, "y")],
    ["opaque", made(OLD, "z")],
  ],
};

for (const [what, cases] of Object.entries(LISTED)) {
  test(`of pods in one list the one ${what} has the address, whichever comes first`, () => {
    const named = [
      ["loser", ...cases[0]],
      ["winner", ...cases[1]],
    ] as const;
    for (const order of [named, [...named].reverse()]) {
      const pods = tableOfPods();
      for (const [name, version, seen] of order) pods.see(name, X, { list: "30", version }, seen);
      assert.deepEqual(pods.ownersOf(X), ["winner"]);
    }
  });
}

test("what a pod is annotated with of its access log goes before what its namespace is", () => {
  const table = new PodTable(RULES);
  const see = (name: string, ip: string, annotations: Readonly<Record<string, string>>) => {
    const facts = podFactsOf(podOf(name, ip, { metadata: { labels: IN, annotations } }));
    assert.ok(facts !== null);
    table.set(name, facts, TOLD);
  };
  const log = "hostmesh.io/access-log";
  see("plain", "10.1.0.1", { "example.com/other": "x" });
  see("quiet", "10.1.0.2", { [log]: "off" });
  const labelsOf = () =>
    Object.fromEntries(table.takeChanged(10).map(({ key, value }) => [key, value?.labels]));
  assert.deepEqual(labelsOf(), { plain: IN, quiet: { ...IN, [log]: "off" } });
  const annotations = { [log]: "json", [`${log}-sample`]: "0.1" };
  table.setNamespace(podFactsOf(podOf("plain", "10.1.0.1"))?.namespace ?? "", {
    labels: {},
    annotations,
  });
  assert.deepEqual(labelsOf(), {
    plain: { ...IN, ...annotations },
    quiet: { ...IN, [log]: "off", [`${log}-sample`]: "0.1" },
  });
});
