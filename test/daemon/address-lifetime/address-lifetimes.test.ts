import assert from "node:assert/strict";
import { appendFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { AddressLifetimes } from "../../../daemon/address-lifetime/address-lifetimes.ts";
import type { TiedAddress } from "../../../daemon/local-workloads.ts";
import { CommandError, type Runner } from "../../../iptables/runner.ts";
import { HandTimers } from "../../helpers/hand-timers.ts";
import { until } from "../../helpers/until.ts";
import { tempFolder } from "../../registry/setup.ts";
import { memoryLog } from "../fixtures.ts";

const [ROUTED, BRIDGED] = ["10.1.0.2", "10.2.0.2"];
const MAC = "02:42:0a:02:00:02";

/** What the commands say: a container on a link of its own, and one on a bridge that has not been heard of yet. */
class Kernel implements Runner {
  readonly links = new Map([
    ["cali1", 11],
    ["br0", 5],
    ["veth1", 12],
  ]);
  readonly routes = new Map<string, object>([
    [ROUTED, { dev: "cali1" }],
    [BRIDGED, { dev: "br0" }],
  ]);
  /** Is the container on the bridge known there? */
  heard = false;
  port = "veth1";
  failing = false;
  readonly asked: string[] = [];

  async run(command: string, args: readonly string[]): Promise<string> {
    const line = [command, ...args].join(" ");
    this.asked.push(line);
    if (this.failing) throw new CommandError(line, "no such file", true, "", null);
    const answer = this.#answer(line);
    if (answer === undefined) throw new CommandError(line, "cannot find", false, "", null);
    return JSON.stringify(answer);
  }

  #answer(line: string): object[] | undefined {
    const route = /route get (\S+)$/.exec(line)?.[1];
    if (route !== undefined) return this.routes.has(route) ? [this.routes.get(route)!] : undefined;
    const linkOf = (ifname: string, ifindex: number) => {
      const linkinfo = ifname === "br0" ? { linkinfo: { info_kind: "bridge" } } : {};
      return { ifname, ifindex, ...linkinfo };
    };
    if (line === "ip -j link show") return [...this.links].map((link) => linkOf(...link));
    const device = /link show dev (\S+)$/.exec(line)?.[1];
    if (device !== undefined) {
      const index = this.links.get(device);
      return index === undefined ? undefined : [linkOf(device, index)];
    }
    if (line.startsWith("bridge")) {
      return [
        { mac: MAC, ifname: "br0", flags: ["self"] },
        { mac: MAC, ifname: this.port, master: "br0" },
      ];
    }
    return this.heard ? [{ dst: BRIDGED, lladdr: MAC }] : [];
  }
}

async function lab(t: TestContext, path?: string) {
  let opened: AddressLifetimes | null = null;
  t.after(() => opened?.close());
  const folder = await tempFolder(t);
  const [kernel, time, { log, lines }] = [new Kernel(), new HandTimers(), memoryLog()];
  const events = join(folder, "events");
  await writeFile(events, "");
  const left: TiedAddress[] = [];
  const poked: string[] = [];
  const file = path ?? join(folder, "lifetimes.json");
  const lifetimes = new AddressLifetimes({
    runner: kernel,
    // In place of `ip`, whose arguments are the shell's here.
    monitor: ["sh", "-c", 'exec tail -n +1 -f "$0"', events],
    path: file,
    timers: { after: time.start },
    log,
    poke: (address) => poked.push(address),
    onLeft: (tied) => left.push(tied),
  });
  opened = lifetimes;
  const tell = (line: string) => appendFile(events, `${line}\n`);
  const saved = async () => (await readFile(file, "utf8").catch(() => "")).toString();
  const known = (count: number) =>
    until(async () => (await saved()).match(/"index":\d+/g)?.length === count, {
      what: `${count} links known`,
    });
  return { kernel, time, lines, left, poked, lifetimes, tell, saved, known, file };
}

const routed = { address: ROUTED, uid: "one" };
const bridged = { address: BRIDGED, uid: "two" };

test("an address is left when the link of its container goes, and not when others do", async (t) => {
  const { lifetimes, known, tell, left } = await lab(t);
  await lifetimes.open();
  lifetimes.set([routed], []);
  await known(1);
  await tell("[LINK]Deleted 99: other@NONE: <BROADCAST>");
  await tell(`[ROUTE]Deleted ${ROUTED} dev cali1 scope link`);
  await tell(`[ROUTE]${ROUTED} dev cali1 scope link`);
  await tell("[ROUTE]10.1.0.3 dev cali2 scope link");
  await tell("[LINK]Deleted 11: cali1@NONE: <BROADCAST>");
  await until(() => left.length > 0);
  assert.deepEqual(left, [routed]);
});

test("an address that is reached by another device has been left", async (t) => {
  const { lifetimes, known, tell, left } = await lab(t);
  await lifetimes.open();
  lifetimes.set([routed], []);
  await known(1);
  await tell(`[ROUTE]${ROUTED} dev cali2 scope link`);
  await until(() => left.length > 0);
});

const BRIDGE_ENDS: [string, string][] = [
  ["its port goes", "[LINK]Deleted 12: veth1@NONE: <BROADCAST>"],
  ["another MAC answers", `[NEIGH]${BRIDGED} dev br0 lladdr 02:00:00:00:00:99 REACHABLE`],
  ["its MAC is behind another port", `[NEIGH]dev veth2 lladdr ${MAC} REACHABLE`],
];
for (const [what, line] of BRIDGE_ENDS) {
  test(`an address on a bridge has been left when ${what}`, async (t) => {
    const { lifetimes, known, tell, left, kernel } = await lab(t);
    kernel.heard = true;
    await lifetimes.open();
    lifetimes.set([bridged], []);
    await known(1);
    await tell(`[NEIGH]${BRIDGED} dev br0 lladdr ${MAC} STALE`);
    await tell(`[NEIGH]dev veth1 lladdr ${MAC} STALE`);
    await tell(`[NEIGH]dev br0 lladdr ${MAC} PERMANENT`);
    await tell("[LINK]Deleted 13: veth9@NONE: <BROADCAST>");
    await tell(line);
    await until(() => left.length > 0);
    assert.deepEqual(left, [bridged]);
  });
}

test("a container that its bridge has not heard of is made to be heard, ever more patiently", async (t) => {
  const { lifetimes, kernel, poked, time, known, left } = await lab(t);
  await lifetimes.open();
  lifetimes.set([bridged], []);
  await lifetimes.settled(1_000);
  assert.deepEqual(poked, []);
  const lookups = () => kernel.asked.filter((line) => line.includes("route get")).length;
  for (const [pauseMs, count] of [
    [100, 2],
    [200, 3],
  ] as const) {
    // The other timer is the monitor's.
    await until(() => lookups() === count - 1 && time.size === 2 && time.nextMs === pauseMs);
    time.advance(pauseMs);
    await until(() => lookups() === count);
  }
  await until(() => time.size === 2);
  kernel.heard = true;
  time.advance(400);
  await known(1);
  assert.deepEqual(poked, [BRIDGED, BRIDGED, BRIDGED]);
  assert.deepEqual(left, []);
});

test("an address that is not behind a link of this host is tied to none", async (t) => {
  const { lifetimes, kernel, tell, left, saved, known } = await lab(t);
  kernel.routes.set(BRIDGED, { gateway: "10.254.2.1", dev: "eth0" });
  await lifetimes.open();
  lifetimes.set([routed, bridged], []);
  await known(1);
  await tell("[LINK]Deleted 12: veth1@NONE: <BROADCAST>");
  await tell("[LINK]Deleted 11: cali1@NONE: <BROADCAST>");
  await until(() => left.length > 0);
  assert.deepEqual(left, [routed]);
  assert.ok(!(await saved()).includes(BRIDGED));
});

test("what was missed while the monitor was away is found by a comparison", async (t) => {
  const { lifetimes, kernel, time, known, left } = await lab(t);
  kernel.heard = true;
  await lifetimes.open();
  lifetimes.set([routed, bridged], []);
  await known(2);
  // One link is gone. The other container's address is behind another port now.
  kernel.links.delete("cali1");
  kernel.links.set("veth2", 13);
  kernel.port = "veth2";
  await until(() => time.size === 1);
  time.advance(500);
  await until(() => left.length === 2);
  assert.deepEqual(left.map(({ uid }) => uid).sort(), ["one", "two"]);
});

test("a container that has gone while nothing ran here is noticed at the next start", async (t) => {
  const first = await lab(t);
  await first.lifetimes.open();
  first.lifetimes.set([routed], [{ address: "10.3.0.2", uid: "three" }]);
  await first.known(1);
  await first.lifetimes.close();
  const same = await lab(t, first.file);
  assert.deepEqual(await same.lifetimes.open(), [{ address: "10.3.0.2", uid: "three" }]);
  same.lifetimes.set([routed], []);
  await same.lifetimes.settled(1_000);
  assert.deepEqual(same.left, [], "it is the same link");
  await same.lifetimes.close();
  const other = await lab(t, first.file);
  other.kernel.links.set("cali1", 47);
  await other.lifetimes.open();
  other.lifetimes.set([routed], []);
  await until(() => other.left.length > 0);
  await other.lifetimes.close();
  const later = await lab(t, first.file);
  later.kernel.links.set("cali1", 48);
  await later.lifetimes.open();
  later.lifetimes.set([{ ...routed, uid: "newer" }], []);
  await later.lifetimes.settled(1_000);
  assert.deepEqual(later.left, [], "it is another container, and known to be");
  // All of them write into the folder of the first, which goes first.
  await later.lifetimes.close();
});

test("what is kept of an earlier start of the machine, or is garbled, counts for nothing", async (t) => {
  const { lifetimes, file, lines } = await lab(t);
  const addresses = [{ address: ROUTED, uid: "one", index: null }];
  await writeFile(file, JSON.stringify({ boot: "another", addresses }));
  assert.deepEqual(await lifetimes.open(), []);
  assert.equal(lines.length, 0);
  await writeFile(file, '{"boot"');
  assert.deepEqual(await lifetimes.open(), []);
  assert.match(lines[0]!.message, /cannot be read/);
});

test("without the commands nothing breaks, and it is said", async (t) => {
  const { lifetimes, kernel, lines, left } = await lab(t);
  kernel.failing = true;
  await lifetimes.open();
  lifetimes.set([routed], []);
  await until(() => lines.some(({ message }) => /cannot be looked up/.test(message)));
  assert.deepEqual(left, []);
});
