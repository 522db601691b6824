import assert from "node:assert/strict";
import { test } from "node:test";
import { forgetEnded } from "../../iptables/leftovers.ts";
import { CommandError, execRunner, type Runner } from "../../iptables/runner.ts";

const entry = (family: "inet" | "inet6", local: string) => ({ family, local, scope: "global" });
const LINKS = [
  { ifname: "lo", addr_info: [entry("inet", "127.0.0.1"), entry("inet6", "::1")] },
  { ifname: "v-a", addr_info: [entry("inet", "10.1.0.1"), entry("inet6", "fe80::1")] },
  { ifname: "v-b", addr_info: [entry("inet", "10.1.0.1"), entry("inet6", "fe80::1")] },
  { ifname: "kube-ipvs0", addr_info: [entry("inet", "10.96.0.10")] },
];

/** Answers for a host with these links; keeps what `ss` was told. */
function host(links: readonly object[], told: string[][]): Runner {
  return {
    run: async (command, args) => {
      if (command === "ip") return JSON.stringify(links);
      told.push([command, ...args]);
      return "";
    },
  };
}

test("ends what is in TIME_WAIT with an address that is not the host's, each named once", async () => {
  const told: string[][] = [];
  await forgetEnded(host(LINKS, told));
  assert.equal(told.length, 1);
  assert.equal(
    told[0]?.join(" "),
    "ss -K -H -t -n state time-wait not src 127.0.0.0/8 and not src 127.0.0.1 and not src [::1] and not src 10.1.0.1 and not src [fe80::1]",
  );
});

test("names no more addresses than the kernel's filter takes", async () => {
  const many = Array.from({ length: 5_000 }, (_, at) => entry("inet6", `fd00::${at.toString(16)}`));
  const told: string[][] = [];
  await forgetEnded(host([{ ifname: "eth0", addr_info: many }], told));
  assert.equal(told[0]?.filter((word) => word === "src").length, 1_001);
});

test("a missing ss is an error that names the package", async () => {
  const real = execRunner(["/nonexistent"]);
  const runner: Runner = {
    run: async (command, args) => (command === "ip" ? "[]" : real.run(command, args)),
  };
  await assert.rejects(forgetEnded(runner), (error: unknown) => {
    assert.ok(error instanceof CommandError && error.missing);
    assert.match(error.message, /ss is not installed.*iproute2/);
    return true;
  });
});
