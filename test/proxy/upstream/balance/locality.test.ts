import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { LocalityRule } from "../../../../src/core/locality-rule.ts";
import type { DataEndpoint } from "../../../../src/core/snapshot.ts";
import { type Here, levelsOf } from "../../../../src/proxy/upstream/balance/locality.ts";
import { endpoint } from "./fixture.ts";

const HERE: Here = {
  host: "h1",
  zone: "z1",
  region: "r1",
  labels: { version: "v1", tier: "gold" },
};
const ON: LocalityRule = { enabled: true };

function at(slot: number, region: string, zone: string, host: string): DataEndpoint {
  return endpoint(slot, { region, zone, host });
}

function slots(endpoints: readonly DataEndpoint[], rule = ON, here = HERE): number[][] {
  return levelsOf(endpoints, rule, here).map((level) => level.endpoints.map(({ slot }) => slot));
}

const PLACES = [
  at(0, "r2", "z1", "h9"),
  at(1, "r1", "z2", "h2"),
  at(2, "r1", "z1", "h3"),
  at(3, "r1", "z1", "h1"),
  at(4, "r3", "z9", "h4"),
];

describe("levels of locality", () => {
  test("are the host, the zone, the region, and the rest", () => {
    assert.deepEqual(slots(PLACES), [[3], [2], [1], [0, 4]]);
  });

  test("put the failover region before the rest", () => {
    const failover = [{ from: "r1", to: "r3" }];
    assert.deepEqual(slots(PLACES, { enabled: true, failover }), [[3], [2], [1], [4], [0]]);
    assert.deepEqual(
      slots(PLACES, { enabled: true, failover: [{ from: "r2", to: "r3" }] }),
      [[3], [2], [1], [0, 4]],
      "that of another region says nothing",
    );
  });

  test("are one where nobody says where things are", () => {
    const here = { ...HERE, zone: "", region: "" };
    assert.deepEqual(slots([endpoint(0), endpoint(1)], ON, here), [[0, 1]]);
    assert.deepEqual(slots([endpoint(0), endpoint(1, { local: true })], ON, here), [[1], [0]]);
  });

  test("take a zone without a region for the one of that name", () => {
    assert.deepEqual(slots([endpoint(0, { zone: "z1" }), endpoint(1, { zone: "z2" })]), [[0], [1]]);
    const here = { ...HERE, region: "" };
    assert.deepEqual(slots([at(0, "r1", "z1", "x"), at(1, "r1", "z2", "x")], ON, here), [[0], [1]]);
  });

  describe("by labels", () => {
    const members = [
      endpoint(0, { meta: { version: "v1", tier: "gold" } }),
      endpoint(1, { meta: { version: "v1" } }),
      endpoint(2, { meta: { tier: "gold" } }),
      endpoint(3, { meta: { version: "v2", tier: "gold" } }),
    ];

    test("the longest common prefix comes first", () => {
      const failoverPriority = ["version", "tier"];
      assert.deepEqual(slots(members, { enabled: true, failoverPriority }), [[0], [1], [2, 3]]);
    });

    test("a value that is given is wanted in place of the caller's", () => {
      const failoverPriority = ["version=v2", "tier"];
      assert.deepEqual(slots(members, { enabled: true, failoverPriority }), [[3], [0, 1, 2]]);
    });

    test("the well-known names of places mean places", () => {
      const failoverPriority = [
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
      ];
      assert.deepEqual(slots(PLACES, { enabled: true, failoverPriority }), [[3], [2], [1], [0, 4]]);
    });

    test("names of Object's own properties are no labels", () => {
      const failoverPriority = ["constructor", "__proto__", "version"];
      assert.deepEqual(slots(members, { enabled: true, failoverPriority }), [
        [0, 1],
        [2, 3],
      ]);
    });
  });

  describe("by given shares", () => {
    const to = { "r1/z1/*": 70, "r1/*": 20, "r3/*": 10 };

    test("are the targets, the most precise first, and nobody else", () => {
      const rule = { enabled: true, distribute: [{ from: "r1/z1/*", to }] };
      const levels = levelsOf(PLACES, rule, HERE);
      assert.deepEqual(
        levels.map((level) => [level.share, level.endpoints.map(({ slot }) => slot)]),
        [
          [70, [2, 3]],
          [20, [1]],
          [10, [4]],
        ],
      );
    });

    test("hold for the first place that is this one, else not at all", () => {
      const other = [{ from: "r2/*", to }];
      assert.equal(slots(PLACES, { enabled: true, distribute: other }).length, 4);
      const all = [...other, { from: "*", to: { "r2/*": 100 } }, { from: "r1/*", to }];
      assert.deepEqual(slots(PLACES, { enabled: true, distribute: all }), [[0]]);
      assert.deepEqual(slots(PLACES, { enabled: true, distribute: [{ from: "*", to: {} }] }), []);
    });
  });

  describe("by hints", () => {
    const RULE: LocalityRule = { enabled: true, hints: true };
    const hinted = (
      slot: number,
      hints?: DataEndpoint["hints"],
      more: Partial<DataEndpoint> = {},
    ) => endpoint(slot, { ...more, ...(hints === undefined ? {} : { hints }) });

    test("are those for the host, those for the zone, the rest", () => {
      const all = [
        hinted(0, { zones: ["z2"], hosts: ["h2"] }),
        hinted(1, { zones: ["z1"], hosts: ["h3"] }),
        hinted(2, { zones: ["z1"], hosts: ["h1"] }),
      ];
      assert.deepEqual(slots(all, RULE), [[2], [1], [0]]);
    });

    test("are one where an endpoint that is ready has none, or none is for this place", () => {
      const [here, there, none] = [{ zones: ["z1"] }, { zones: ["z2"] }, undefined];
      assert.deepEqual(slots([hinted(0, here), hinted(1, none)], RULE), [[0, 1]]);
      assert.deepEqual(slots([hinted(0, there), hinted(1, there)], RULE), [[0, 1]]);
      const leaving = hinted(1, none, { weight: 0 });
      assert.deepEqual(slots([hinted(0, here), leaving], RULE), [[0], [1]]);
      const critical = hinted(1, none, { health: "critical" });
      assert.deepEqual(slots([hinted(0, here), critical], RULE), [[0], [1]]);
    });

    test("of zones say nothing to a host without one", () => {
      const all = [hinted(0, { zones: [""] }), hinted(1, { zones: ["z1"] })];
      assert.deepEqual(slots(all, RULE, { ...HERE, zone: "" }), [[0, 1]]);
    });
  });
});
