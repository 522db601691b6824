import assert from "node:assert/strict";
import { test } from "node:test";
import { outsideAddress, registryIdentity } from "../../daemon/registry-identity.ts";
import { configSchema } from "../../src/config/schema.ts";

test("service-account tokens are judged where an API server is named, by the account that is named", () => {
  const off = registryIdentity(configSchema.parse({}));
  assert.equal(off?.tokenReview, undefined);
  const registry = {
    tokenReviewUrl: "https://kubernetes.default.svc",
    tokenReviewAccount: "mesh/daemon",
    tokenReviewAudience: "mesh",
  };
  const rule = registryIdentity(configSchema.parse({ registry }))?.tokenReview;
  assert.deepEqual(
    [rule?.audience, rule?.namespace, rule?.serviceAccount],
    ["mesh", "mesh", "daemon"],
  );
  assert.ok(rule?.reviewer);
  assert.throws(
    () => configSchema.parse({ registry: { tokenReviewUrl: "http://10.0.0.1" } }),
    /https/,
  );
  assert.throws(() => configSchema.parse({ registry: { tokenReviewAccount: "daemon" } }));
});

test("without identities a registry is no authority; who may register follows the setting", () => {
  assert.equal(registryIdentity(configSchema.parse({ identity: { mode: "off" } })), null);
  assert.equal(registryIdentity(configSchema.parse({}))?.hostsRegister, false);
  const registry = { hostsRegister: "own" } as const;
  assert.equal(registryIdentity(configSchema.parse({ registry }))?.hostsRegister, true);
});

test("others reach this host where it listens, or at its first outside address", () => {
  assert.equal(outsideAddress("192.0.2.7"), "192.0.2.7");
  assert.notEqual(outsideAddress("0.0.0.0"), "0.0.0.0");
});
