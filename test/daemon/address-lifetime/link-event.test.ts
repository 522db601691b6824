import assert from "node:assert/strict";
import { test } from "node:test";
import { type LinkEvent, parseLinkEvent } from "../../../daemon/address-lifetime/link-event.ts";

/** Lines as iproute2 6.1 writes them. */
const LINES: [string, LinkEvent | null][] = [
  [
    "[LINK]Deleted 12: cali1@NONE: <BROADCAST,MULTICAST> mtu 1500 qdisc noop state DOWN group default \\    link/ether c6:d2:08:07:93:f7",
    { kind: "link-gone", index: 12 },
  ],
  ["[LINK]12: cali1@if2: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 state UP", null],
  [
    "[ROUTE]10.9.0.2 dev cali2 scope link ",
    { kind: "route", address: "10.9.0.2", device: "cali2" },
  ],
  [
    "[ROUTE]10.9.0.2 via 10.254.2.1 dev link1 onlink",
    { kind: "route", address: "10.9.0.2", device: "link1" },
  ],
  [
    "[ROUTE]fd00::2 dev cali2 metric 1024 pref medium",
    { kind: "route", address: "fd00::2", device: "cali2" },
  ],
  ["[ROUTE]Deleted 10.9.0.2 dev cali1 scope link ", null],
  ["[ROUTE]10.8.0.0/24 dev br0 proto kernel scope link src 10.8.0.1 ", null],
  ["[ROUTE]local 10.8.0.1 dev br0 table local proto kernel scope host src 10.8.0.1 ", null],
  ["[ROUTE]default via 10.0.0.1 dev eth0", null],
  [
    "[NEIGH]10.8.0.2 dev br0 lladdr 02:42:0a:08:00:02 REACHABLE",
    { kind: "neighbour", address: "10.8.0.2", mac: "02:42:0a:08:00:02" },
  ],
  ["[NEIGH]10.8.0.2 dev br0  FAILED", null],
  ["[NEIGH]Deleted 10.8.0.2 dev br0 lladdr 02:42:0a:08:00:02 STALE", null],
  [
    "[NEIGH]dev veth7 lladdr 02:42:0a:08:00:02 REACHABLE ",
    { kind: "port", device: "veth7", mac: "02:42:0a:08:00:02" },
  ],
  ["[NEIGH]Deleted dev veth7 lladdr 02:42:0a:08:00:02 REACHABLE ", null],
  ["", null],
  ["garbage", null],
];

for (const [line, expected] of LINES) {
  test(`${line.slice(0, 60)} means ${expected?.kind ?? "nothing"}`, () => {
    assert.deepEqual(parseLinkEvent(line), expected);
  });
}
