import assert from "node:assert/strict";
import { test } from "node:test";
import { annotationFields } from "../../src/dialects/linkerd/annotation-fields.ts";
import { settingsOfAnnotations } from "../../src/dialects/linkerd/service-annotations.ts";

test("the documented annotations are those that are read", () => {
  const asked = new Set<string>();
  const given = {
    "balancer.linkerd.io/failure-accrual": "unified",
    "retry.linkerd.io/http": "5xx",
  };
  const annotations = new Proxy<Record<string, string>>(given, {
    getOwnPropertyDescriptor(target, name) {
      asked.add(String(name));
      return Reflect.getOwnPropertyDescriptor(target, name);
    },
  });
  settingsOfAnnotations(annotations, () => {}, "Service shop/a");
  assert.deepEqual(annotationFields.map(({ path }) => path).sort(), [...asked].sort());
});
