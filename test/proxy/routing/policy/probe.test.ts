import assert from "node:assert/strict";
import { test } from "node:test";
import { isProbe } from "../../../../src/proxy/routing/policy/probe.ts";
import { requestWith } from "./fixture.ts";

const KUBELET = ["User-Agent: kube-probe/1.30"];

test("the kubelet and the paths of registered checks are probes", () => {
  assert.equal(isProbe(requestWith(["user-AGENT: kube-probe/1.30+"])), true);
  const paths = new Set(["/healthz"]);
  assert.equal(isProbe(requestWith([], "GET", "/healthz?full=1"), paths), true);
  assert.equal(isProbe(requestWith([], "HEAD", "/healthz"), paths), true);
});

test("nothing else is", () => {
  const paths = new Set(["/healthz"]);
  assert.equal(isProbe(requestWith(["User-Agent: curl kube-probe/1.30"]), paths), false);
  assert.equal(isProbe(requestWith([], "GET", "/healthz/x"), paths), false);
  assert.equal(isProbe(requestWith([], "GET", "/healthz")), false);
  assert.equal(isProbe(requestWith(KUBELET, "POST")), false);
  assert.equal(isProbe(requestWith([...KUBELET, "Content-Length: 3"])), false);
});
