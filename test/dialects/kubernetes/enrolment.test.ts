import assert from "node:assert/strict";
import { test } from "node:test";
import { isEnrolled, type Marks } from "../../../src/dialects/kubernetes/enrolment.ts";
import type { ClusterRules } from "../../../src/dialects/translator.ts";

interface Case {
  readonly pod?: Partial<Marks> & { readonly namespace?: string; readonly hostNetwork?: boolean };
  readonly namespace?: Partial<Marks>;
  readonly rules?: Partial<ClusterRules>;
  readonly is: boolean;
}

const on = { "hostmesh.io/inject": "enabled" };
const off = { "hostmesh.io/inject": "disabled" };
const both = { recogniseLabels: ["istio", "linkerd"] } as const;
const ALL = { enrol: "all" } as const;

const CASES: Readonly<Record<string, Case>> = {
  "nobody has said anything": { is: false },
  "the namespace says so": { namespace: { labels: on }, is: true },
  "an annotation of the namespace is no label": { namespace: { annotations: on }, is: false },
  "the pod says so": { pod: { labels: on }, is: true },
  "the pod says no by a label": { pod: { labels: off }, namespace: { labels: on }, is: false },
  "the pod says no by an annotation, whatever its label": {
    pod: { labels: on, annotations: off },
    namespace: { labels: on },
    is: false,
  },
  "another value says nothing": {
    pod: { labels: { "hostmesh.io/inject": "yes" } },
    namespace: { labels: on },
    is: true,
  },
  "it has the host's network": { pod: { labels: on, hostNetwork: true }, rules: ALL, is: false },
  "all are in": { rules: ALL, is: true },
  "all are in but for a namespace": { rules: ALL, namespace: { labels: off }, is: false },
  "all are in but for a pod": { rules: ALL, pod: { labels: off }, is: false },
  "kube-system is not among all": { rules: ALL, pod: { namespace: "kube-system" }, is: false },
  "kube-system is not in by its namespace": {
    pod: { namespace: "kube-system" },
    namespace: { labels: on },
    is: false,
  },
  "a pod of kube-system says so itself": {
    pod: { namespace: "kube-system", labels: on },
    is: true,
  },
  "the mesh's own pods never": { pod: { namespace: "mesh", labels: on }, rules: ALL, is: false },
  "nor whatever is in the namespace of its identities": {
    pod: { namespace: "hostmesh-system", labels: on },
    is: false,
  },
  "Istio's label counts when asked for": {
    namespace: { labels: { "istio-injection": "enabled" } },
    rules: both,
    is: true,
  },
  "Istio's ambient mode too": {
    namespace: { labels: { "istio.io/dataplane-mode": "ambient" } },
    rules: both,
    is: true,
  },
  "Istio's label does not count unasked": {
    namespace: { labels: { "istio-injection": "enabled" } },
    is: false,
  },
  "Istio's pod opts out of ambient": {
    pod: { labels: { "istio.io/dataplane-mode": "none" } },
    namespace: { labels: { "istio.io/dataplane-mode": "ambient" } },
    rules: both,
    is: false,
  },
  "Istio's pod opts out of injection by a label": {
    pod: { labels: { "sidecar.istio.io/inject": "false" } },
    namespace: { labels: { "istio-injection": "enabled" } },
    rules: both,
    is: false,
  },
  "and by an annotation, as before": {
    pod: { annotations: { "sidecar.istio.io/inject": "false" } },
    namespace: { labels: { "istio-injection": "enabled" } },
    rules: both,
    is: false,
  },
  "Istio's namespace names a revision": {
    namespace: { labels: { "istio.io/rev": "canary" } },
    rules: both,
    is: true,
  },
  "a revision does not count where injection is disabled": {
    namespace: { labels: { "istio.io/rev": "canary", "istio-injection": "disabled" } },
    rules: both,
    is: false,
  },
  "a revision does not count unasked": {
    namespace: { labels: { "istio.io/rev": "canary" } },
    is: false,
  },
  "Istio's pod opts out of a revision": {
    pod: { labels: { "sidecar.istio.io/inject": "false" } },
    namespace: { labels: { "istio.io/rev": "canary" } },
    rules: both,
    is: false,
  },
  "Istio's pod opts in to injection": {
    pod: { labels: { "sidecar.istio.io/inject": "true" } },
    rules: both,
    is: true,
  },
  "not by an annotation, of which Istio's webhook knows nothing": {
    pod: { annotations: { "sidecar.istio.io/inject": "true" } },
    rules: both,
    is: false,
  },
  "nor where its namespace has injection disabled": {
    pod: { labels: { "sidecar.istio.io/inject": "true" } },
    namespace: { labels: { "istio-injection": "disabled" } },
    rules: both,
    is: false,
  },
  "Istio's pod opts in unasked": {
    pod: { labels: { "sidecar.istio.io/inject": "true", "istio.io/dataplane-mode": "ambient" } },
    rules: { recogniseLabels: ["linkerd"] },
    is: false,
  },
  "Istio's pod opts in to ambient": {
    pod: { labels: { "istio.io/dataplane-mode": "ambient" } },
    rules: both,
    is: true,
  },
  "Istio's pod is in ambient mode, and therefore has no sidecar": {
    pod: { labels: { "istio.io/dataplane-mode": "ambient", "sidecar.istio.io/inject": "false" } },
    rules: both,
    is: true,
  },
  "our label of the pod goes before what Istio's let in": {
    pod: { labels: { ...off, "istio.io/dataplane-mode": "ambient" } },
    rules: both,
    is: false,
  },
  "our label goes before Istio's": {
    pod: { labels: { ...on, "sidecar.istio.io/inject": "false" } },
    rules: both,
    is: true,
  },
  "Linkerd's annotation of a namespace": {
    namespace: { annotations: { "linkerd.io/inject": "enabled" } },
    rules: both,
    is: true,
  },
  "Linkerd's annotation of a pod": {
    pod: { annotations: { "linkerd.io/inject": "enabled" } },
    rules: both,
    is: true,
  },
  "Linkerd's pod opts out": {
    pod: { annotations: { "linkerd.io/inject": "disabled" } },
    namespace: { annotations: { "linkerd.io/inject": "enabled" } },
    rules: both,
    is: false,
  },
  "Linkerd's annotation does not count unasked": {
    namespace: { annotations: { "linkerd.io/inject": "enabled" } },
    rules: { recogniseLabels: ["istio"] },
    is: false,
  },
};

for (const [what, { pod = {}, namespace = {}, rules = {}, is }] of Object.entries(CASES)) {
  test(`a pod is ${is ? "in" : "out of"} the mesh: ${what}`, () => {
    const none: Marks = { labels: {}, annotations: {} };
    const marks = { ...none, namespace: "shop", hostNetwork: false, ...pod };
    const all: ClusterRules = {
      ...{ enrol: "labelled", recogniseLabels: [], meshNamespace: "mesh" },
      ...rules,
    };
    assert.equal(isEnrolled(marks, { ...none, ...namespace }, all), is);
  });
}
