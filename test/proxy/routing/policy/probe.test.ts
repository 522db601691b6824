import assert from "node:assert/strict";
import { test } from "node:test";
import { isProbe } from "../../../../src/proxy/routing/policy/probe.ts";
import { requestWith } from "./fixture.ts";

const KUBELET = ["User-Agent: kube-probe/1.30"];

test("the kubelet's requests are probes", () => {
  assert.equal(isProbe(requestWith(["user-AGENT: kube-probe/1.30+"])), true);
  assert.equal(isProbe(requestWith(KUBELET, "HEAD", "/healthz")), true);
});

test("nothing else is", () => {
  assert.equal(isProbe(requestWith(["User-Agent: curl kube-probe/1.30"])), false);
  assert.equal(isProbe(requestWith([], "GET", "/healthz")), false);
  assert.equal(isProbe(requestWith(KUBELET, "POST")), false);
  assert.equal(isProbe(requestWith([...KUBELET, "Content-Length: 3"])), false);
});
