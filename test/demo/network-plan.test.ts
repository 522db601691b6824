import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DEMO_INSTANCES } from "../../daemon/demo/application.ts";
import { hostsFile, LINK_PATTERN, planContainer } from "../../daemon/demo/network-plan.ts";

describe("plan of a demo container", () => {
  it("gives every container names and addresses of its own, within the kernel's limits", () => {
    const plans = DEMO_INSTANCES.map((instance, at) => planContainer(instance, at + 1, true));
    for (const field of ["namespace", "link", "address4", "address6"] as const) {
      assert.equal(new Set(plans.map((plan) => plan[field])).size, plans.length, field);
    }
    for (const { link, namespace, address4 } of plans) {
      assert.match(link, LINK_PATTERN);
      assert.ok(link.length <= 15);
      assert.ok(namespace.startsWith("hmdemo-"));
      assert.ok(address4.startsWith("198.18."), "an address of RFC 2544's test range");
    }
  });

  it("gives the host's end of the pair no address", () => {
    const { commands, link } = planContainer({ name: "x" }, 1, true);
    const onHost = commands.filter((command) => command[0] !== "-n" && command.includes(link));
    assert.ok(onHost.length > 0);
    assert.ok(onHost.every((command) => command[0] !== "addr"));
  });

  it("touches settings of its own interface only", () => {
    const { sysctls, link } = planContainer({ name: "x" }, 1, true);
    for (const [file] of sysctls) assert.ok(file.includes(`/${link}/`), file);
  });

  it("leaves IPv6 alone on a host without it", () => {
    const plan = planContainer({ name: "x" }, 1, false);
    assert.equal(plan.address6, null);
    assert.ok(!JSON.stringify(plan).includes("fd48:"));
    assert.ok(plan.sysctls.every(([file]) => !file.includes("ipv6")));
  });

  it("names services by every virtual address in the container's hosts file", () => {
    const text = hostsFile([{ name: "catalog", addresses: ["240.240.0.7", "2001:2::7"] }]);
    assert.match(text, /^127\.0\.0\.1 localhost$/m);
    assert.match(text, /^240\.240\.0\.7 catalog catalog\.default$/m);
    assert.match(text, /^2001:2::7 catalog catalog\.default$/m);
  });
});
