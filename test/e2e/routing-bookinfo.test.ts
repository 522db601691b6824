import assert from "node:assert/strict";
import test from "node:test";
import { skip } from "../daemon/up-process.ts";
import { until } from "../helpers/until.ts";
import { RoutingStage } from "./routing-stage.ts";

const DESTINATION_RULES = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: productpage
spec:
  host: productpage
  subsets:
  - name: v1
    labels:
      version: v1
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: reviews
spec:
  host: reviews
  subsets:
  - name: v1
    labels:
      version: v1
  - name: v2
    labels:
      version: v2
  - name: v3
    labels:
      version: v3
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: ratings
spec:
  host: ratings
  subsets:
  - name: v1
    labels:
      version: v1
  - name: v2
    labels:
      version: v2
  - name: v2-mysql
    labels:
      version: v2-mysql
  - name: v2-mysql-vm
    labels:
      version: v2-mysql-vm
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: details
spec:
  host: details
  subsets:
  - name: v1
    labels:
      version: v1
  - name: v2
    labels:
      version: v2
---
`;

const allV1 = (service: string) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: ${service}
spec:
  hosts:
  - ${service}
  http:
  - route:
    - destination:
        host: ${service}
        subset: v1
---
`;

const reviewsSplit = (first: string, a: number, second: string, b: number) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts:
    - reviews
  http:
  - route:
    - destination:
        host: reviews
        subset: ${first}
      weight: ${a}
    - destination:
        host: reviews
        subset: ${second}
      weight: ${b}
`;

const JASON = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts:
    - reviews
  http:
  - match:
    - headers:
        end-user:
          exact: jason
    route:
    - destination:
        host: reviews
        subset: v2
  - route:
    - destination:
        host: reviews
        subset: v3
`;

const ratingsFault = (fault: string) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: ratings
spec:
  hosts:
  - ratings
  http:
  - match:
    - headers:
        end-user:
          exact: jason
    fault:
${fault}
    route:
    - destination:
        host: ratings
        subset: v1
  - route:
    - destination:
        host: ratings
        subset: v1
`;

const DELAY = `      delay:
        percentage:
          value: 100.0
        fixedDelay: 0.3s`;
const ABORT = `      abort:
        percentage:
          value: 100.0
        httpStatus: 500`;

const TIMEOUT = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts:
  - reviews
  http:
  - route:
    - destination:
        host: reviews
        subset: v2
    timeout: 0.1s
`;

const MIRROR = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: details
spec:
  hosts:
    - details
  http:
  - route:
    - destination:
        host: details
        subset: v1
      weight: 100
    mirror:
      host: details
      subset: v2
    mirrorPercentage:
      value: 100.0
`;

const canary = (stable: number, next: number) => `
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata:
  name: helloworld
spec:
  hosts:
    - helloworld
  http:
  - route:
    - destination:
        host: helloworld
        subset: v1
      weight: ${stable}
    - destination:
        host: helloworld
        subset: v2
      weight: ${next}
`;

const HELLOWORLD = `
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata:
  name: helloworld
spec:
  host: helloworld
  subsets:
  - name: v1
    labels:
      version: v1
  - name: v2
    labels:
      version: v2
---
`;

const jason = { headers: { "end-user": "jason" } };

test("the tutorials of Istio do what their authors meant", { skip }, async (t) => {
  const stage = await RoutingStage.start(t);
  const [[, v2]] = await Promise.all([
    stage.versions("reviews", "v1", "v2", "v3"),
    stage.versions("productpage", "v1"),
  ]);
  const [ratings] = await stage.versions("ratings", "v1", "v2");
  const [, shadow] = await stage.versions("details", "v1", "v2");
  await stage.versions("helloworld", "v1", "v2");
  assert.ok(v2 && ratings && shadow);
  const services = ["productpage", "reviews", "ratings", "details"];

  await t.test("everything to version 1", async () => {
    await stage.apply(DESTINATION_RULES + services.map(allV1).join(""));
    for (const service of services) {
      assert.deepEqual(await stage.tally(service, 6), { [`${service}-v1`]: 6 }, service);
    }
  });

  await t.test("a user sees another version", async () => {
    await stage.apply(JASON);
    assert.deepEqual(await stage.tally("reviews", 5, jason), { "reviews-v2": 5 });
    assert.deepEqual(await stage.tally("reviews", 5), { "reviews-v3": 5 });
  });

  await t.test("shares of 50/50 and 80/20, exact and without runs", async () => {
    await stage.apply(reviewsSplit("v1", 50, "v3", 50));
    assert.deepEqual(await stage.tally("reviews", 20), { "reviews-v1": 10, "reviews-v3": 10 });
    await stage.apply(reviewsSplit("v1", 80, "v2", 20));
    for (let at = 0; at < 3; at++) {
      assert.deepEqual(await stage.tally("reviews", 5), { "reviews-v1": 4, "reviews-v2": 1 });
    }
  });

  await t.test("a delay and an abort for one user", async () => {
    await stage.apply(ratingsFault(DELAY));
    const before = performance.now();
    assert.equal((await stage.ask("ratings/ratings/0", jason)).body, "ratings-v1");
    assert.ok(performance.now() - before >= 299, "delayed");
    await stage.apply(ratingsFault(ABORT));
    const aborted = await stage.ask("ratings", jason);
    assert.deepEqual(
      [aborted.status, aborted.headers["x-hostmesh-error"]],
      [500, "FAULT_INJECTED"],
    );
    assert.equal((await stage.ask("ratings")).body, "ratings-v1");
  });

  await t.test("a request timeout", async () => {
    await stage.apply(TIMEOUT);
    assert.equal((await stage.ask("reviews")).body, "reviews-v2");
    v2.answer = () => undefined;
    assert.equal((await stage.ask("reviews")).status, 504);
    v2.answer = null;
  });

  await t.test("mirroring", async () => {
    await stage.apply(MIRROR);
    shadow.answer = (_, response) => response.writeHead(500).end();
    const answer = await stage.ask("details/buy", { method: "POST", body: "one book" });
    assert.deepEqual([answer.status, answer.body], [200, "details-v1"]);
    await until(() => shadow.seen.length === 1, { what: "the copy" });
    const [copy] = shadow.seen;
    assert.deepEqual([copy?.method, copy?.url, copy?.body], ["POST", "/buy", "one book"]);
    assert.equal(copy?.headers.host, "details-shadow");
  });

  await t.test("a canary of 95/5, raised while it runs", async () => {
    await stage.apply(HELLOWORLD + canary(95, 5));
    assert.deepEqual(await stage.tally("helloworld/hello", 100), {
      "helloworld-v1": 95,
      "helloworld-v2": 5,
    });
    await stage.apply(canary(0, 100));
    assert.deepEqual(await stage.tally("helloworld/hello", 10), { "helloworld-v2": 10 });
  });
});
