import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { PROBE_DESTINATION, PROBE_PORT, PROBE_REPLY } from "../src/core/capture-probe.ts";
import type { Family } from "./plan.ts";
import type { Runner } from "./runner.ts";
import { type CaptureSpec, setNames } from "./spec.ts";

/** Addresses of the throw-away workload, from the same ranges as the destination. */
const SOURCE: Readonly<Record<Family, string>> = {
  4: "198.18.255.1",
  6: "2001:2:0:ffff:ffff:ffff:ffff:fff1",
};
/** The host's side has an address only for REDIRECT, which needs one. */
const HOST_SIDE = "198.18.255.2";
/** Fixed and locally administered, so that neither side has to ask (no ARP, no duplicate address detection). */
const HOST_MAC = "02:68:6d:00:00:01";
const PROBE_MAC = "02:68:6d:00:00:02";
const ANSWER_LIMIT_MS = 2_000;
/** The guardian may exchange the set of workloads between adding the probe's address and connecting. */
const TRIES = 3;

interface SetEntry {
  readonly set: string;
  readonly address: string;
}

/**
 * A workload for one check: a namespace joined to the host by a veth pair, like a container. Needs
 * CAP_SYS_ADMIN besides what installation needs.
 */
export class Probe {
  readonly #runner: Runner;
  readonly #machine: Runner;
  readonly #spec: CaptureSpec;
  readonly #namespace = `hostmesh-probe-${process.pid}`;
  readonly #device = `hmp${process.pid}`;

  /**
   * @param runner acts in the host's network namespace.
   * @param machine makes namespaces and runs commands in them; the same as `runner`, outside tests.
   */
  constructor(spec: CaptureSpec, runner: Runner, machine: Runner) {
    this.#spec = spec;
    this.#runner = runner;
    this.#machine = machine;
  }

  /** @throws CommandError where namespaces cannot be made here; `tearDown` must be called all the same. */
  async setUp(): Promise<void> {
    const device = this.#device;
    await this.#sweep();
    await this.#machine.run("ip", ["netns", "add", this.#namespace]);
    const peer = ["peer", "name", "eth0", "address", PROBE_MAC, "netns", this.#namespace];
    const pair = ["link", "add", device, "address", HOST_MAC, "type", "veth", ...peer];
    await this.#runner.run("ip", pair);
    await this.#batch(this.#runner, ["-4"], this.#hostCommands(4));
    await this.#batch(this.#machine, ["-n", this.#namespace], probeCommands(4));
    if (!this.#spec.ipv6) return;
    await this.#batch(this.#runner, ["-6"], this.#hostCommands(6));
    await this.#batch(this.#machine, ["-6", "-n", this.#namespace], probeCommands(6));
  }

  /** As a workload. Null: captured. Else what went wrong. */
  connect(family: Family): Promise<string | null> {
    return this.#connect(family, { set: setNames(family).workloads, address: SOURCE[family] });
  }

  /** From outside, to a destination that is guarded; before `connect`, which makes the probe a workload. */
  connectInbound(family: Family): Promise<string | null> {
    const entry = { set: setNames(family).guarded, address: PROBE_DESTINATION[family] };
    return this.#connect(family, entry);
  }

  async #connect(family: Family, entry: SetEntry): Promise<string | null> {
    let outcome = "";
    for (let tries = 0; tries < TRIES; tries++) {
      await this.#inSet("add", entry);
      outcome = await this.#dial(family);
      const stayed = await this.#isInSet(entry);
      await this.#inSet("del", entry);
      if (outcome === `answer ${PROBE_REPLY.trim()}`) return null;
      if (stayed) break;
    }
    return EXPLANATIONS[outcome] ?? `the answer was not the data path's: ${outcome}`;
  }

  /** Removes everything; each part is tried even where another fails. */
  async tearDown(): Promise<void> {
    const families: Family[] = this.#spec.ipv6 ? [4, 6] : [4];
    const results = await Promise.allSettled([
      ...families.flatMap((family) => [
        this.#inSet("del", { set: setNames(family).workloads, address: SOURCE[family] }),
        this.#inSet("del", { set: setNames(family).guarded, address: PROBE_DESTINATION[family] }),
      ]),
      // The veth pair goes with it.
      this.#machine.run("ip", ["netns", "del", this.#namespace]),
    ]);
    const failed = results.filter((result) => result.status === "rejected");
    if (failed.length > 0) throw new AggregateError(failed.map((result) => result.reason));
  }

  async #inSet(action: "add" | "del", { set, address }: SetEntry): Promise<void> {
    await this.#runner.run("ipset", [action, set, address, "-exist"]);
  }

  async #isInSet({ set, address }: SetEntry): Promise<boolean> {
    const saved = await this.#runner.run("ipset", ["save", set]);
    return saved.split("\n").includes(`add ${set} ${address}`);
  }

  /** Namespaces of checks that were killed; their veth pairs go with them. */
  async #sweep(): Promise<void> {
    const listed = await this.#machine.run("ip", ["netns", "list"]);
    for (const [name, pid] of listed.matchAll(/^hostmesh-probe-(\d+)/gm)) {
      if (existsSync(`/proc/${pid}`)) continue;
      await this.#machine.run("ip", ["netns", "del", name]);
    }
  }

  async #dial(family: Family): Promise<string> {
    // Compiled, the client is the .js file of the same name.
    const file = import.meta.url.endsWith(".ts") ? "./probe-client.ts" : "./probe-client.js";
    const client = fileURLToPath(new URL(file, import.meta.url));
    const args = [PROBE_DESTINATION[family], String(PROBE_PORT), String(ANSWER_LIMIT_MS)];
    const inside = ["netns", "exec", this.#namespace, process.execPath, client, ...args];
    return (await this.#machine.run("ip", inside)).trim();
  }

  async #batch(runner: Runner, args: readonly string[], lines: readonly string[]): Promise<void> {
    await runner.run("ip", [...args, "-batch", "-"], `${lines.join("\n")}\n`);
  }

  #hostCommands(family: Family): string[] {
    const device = this.#device;
    const redirect = this.#spec.mode === "redirect";
    const numbered =
      family === 4
        ? `addr add ${HOST_SIDE}/32 dev ${device}`
        : `addr add fe80::2/64 dev ${device} nodad`;
    return [
      ...(redirect ? [numbered] : []),
      `link set ${device} up`,
      `route add ${SOURCE[family]} dev ${device}`,
      `neigh replace ${SOURCE[family]} lladdr ${PROBE_MAC} dev ${device} nud permanent`,
    ];
  }
}

function probeCommands(family: Family): string[] {
  const gateway = family === 4 ? "169.254.1.1" : "fe80::1";
  return [
    "link set eth0 up",
    family === 4 ? `addr add ${SOURCE[4]}/32 dev eth0` : `addr add ${SOURCE[6]}/128 dev eth0 nodad`,
    `neigh add ${gateway} lladdr ${HOST_MAC} dev eth0 nud permanent`,
    ...(family === 4 ? [`route add ${gateway} dev eth0 scope link`] : []),
    `route add default via ${gateway} dev eth0`,
  ];
}

const EXPLANATIONS: Readonly<Record<string, string>> = {
  timeout:
    "no answer: the connection was captured and nobody listens on the capture port, or it was not captured, or a firewall of this host drops it",
  "error ECONNREFUSED":
    "refused: nobody listens on the capture port, or the daemon is dead and capture.onDeath is closed",
  "error ECONNRESET": "reset: the listener on the capture port closed it without an answer",
  "error EHOSTUNREACH": "not captured: the host tried to forward it",
  "error ENETUNREACH": "not captured: the host tried to forward it",
};
