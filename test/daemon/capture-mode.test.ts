import assert from "node:assert/strict";
import test from "node:test";
import type { Machine } from "../../daemon/capture-mode.ts";
import { captureSpec, chooseCapture, refuseUnprivileged } from "../../daemon/capture-mode.ts";
import { CommandError } from "../../iptables/runner.ts";
import type { ConfigInput } from "../../src/config/schema.ts";
import { configSchema } from "../../src/config/schema.ts";

const settings = (capture: ConfigInput["capture"]) => configSchema.parse({ capture });

const WITH_IPV6 = [{ ifname: "lo", addr_info: [{ family: "inet6", local: "::1", scope: "host" }] }];

function machine(
  more: Partial<Machine> & { readonly links?: readonly object[] } = {},
  missing: readonly string[] = [],
): Machine {
  const { links = WITH_IPV6, ...rest } = more;
  return {
    platform: "linux",
    uid: 0,
    runner: {
      run: async (command) => {
        if (missing.includes(command)) {
          throw new CommandError(command, "is not installed", true, "", null);
        }
        return command === "ip" ? JSON.stringify(links) : "";
      },
    },
    ...rest,
  };
}

test("auto takes TPROXY where the machine can do it, and does not insist", async () => {
  assert.deepEqual(await chooseCapture(settings({}), machine()), {
    mode: "tproxy",
    required: false,
    ipv6: true,
    reason: "",
  });
});

for (const [what, where, reason] of [
  ["without root", machine({ uid: 1_000 }), /needs root/],
  ["on another system", machine({ platform: "darwin" }), /needs Linux/],
  ["without ipset", machine({}, ["ipset"]), /ipset .*is not installed/],
] as const) {
  test(`auto takes the explicit proxy ${what} and says why`, async () => {
    const choice = await chooseCapture(settings({}), where);
    assert.equal(choice.mode, "explicit");
    assert.match(choice.reason, reason);
  });
}

test("a mode that was asked for is required", async () => {
  const choice = await chooseCapture(settings({ mode: "redirect" }), machine({}, ["iptables"]));
  assert.deepEqual([choice.mode, choice.required], ["redirect", true]);
  assert.equal((await chooseCapture(settings({ mode: "explicit" }), machine())).reason, "");
});

test("IPv6 follows the setting, and the machine where that is auto", async () => {
  const ipv6 = async (capture: ConfigInput["capture"], where: Machine) =>
    (await chooseCapture(settings(capture), where)).ipv6;
  assert.equal(await ipv6({ mode: "tproxy" }, machine({}, ["ip6tables-save"])), false);
  assert.equal(await ipv6({ mode: "tproxy" }, machine({ links: [] })), false);
  assert.equal(await ipv6({ mode: "tproxy", ipv6: "off" }, machine()), false);
  assert.equal(await ipv6({ mode: "tproxy", ipv6: "on" }, machine({ links: [] })), true);
});

test("the rules leave the proxy's own ports alone, those that were really opened", () => {
  const config = configSchema.parse({ ports: { admin: 0 }, capture: { onDeath: "closed" } });
  const choice = { mode: "tproxy", ipv6: false } as const;
  const ports = { outbound: 31_001, inbound: 31_006, explicit: 34_140, mesh: null };
  const spec = captureSpec(config, choice, ports);
  assert.deepEqual([spec.outboundPort, spec.inboundPort], [31_001, 31_006]);
  assert.deepEqual(spec.proxyPorts, [31_001, 31_006, 34_140, 15_020, 15_021, 15_010, 15_012]);
  assert.deepEqual([spec.mode, spec.onDeath, spec.ipv6], ["tproxy", "closed", false]);
});

test("a mode that was asked for is refused early where the process has no right to it", () => {
  const ordinary = "Name:\tnode\nCapEff:\t0000000000000000\n";
  const netAdmin = "Name:\tnode\nCapEff:\t0000000000003000\n";
  for (const mode of ["tproxy", "redirect"] as const) {
    assert.throws(() => refuseUnprivileged(settings({ mode }), "linux", ordinary), {
      name: "StartError",
      message: /needs root, or CAP_NET_ADMIN/,
      remedy: /sudo.*--capture explicit/,
    });
    assert.throws(() => refuseUnprivileged(settings({ mode }), "darwin", null), /needs Linux/);
    refuseUnprivileged(settings({ mode }), "linux", netAdmin);
  }
  for (const mode of ["auto", "explicit"] as const) {
    refuseUnprivileged(settings({ mode }), "linux", ordinary);
  }
});
