import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../../src/core/clock.ts";
import { attributesText, spanText } from "../../../src/telemetry/tracing/otlp-json.ts";
import { resourceText } from "../../../src/telemetry/tracing/resource.ts";
import type { Span } from "../../../src/telemetry/tracing/span.ts";
import { SpanBuffer } from "../../../src/telemetry/tracing/span-buffer.ts";
import { UnixTime } from "../../../src/telemetry/tracing/unix-time.ts";
import { SpanProbe } from "../../helpers/otlp.ts";

const SPAN: Span = {
  traceId: "0af7651916cd43dd8448eb211c80319c",
  spanId: "b7ad6b7169203331",
  parentId: "",
  traceState: "",
  traceFlags: 3,
  isParentRemote: true,
  kind: 3,
  name: "GET",
  startMs: 1_795_300_000_000.25,
  endMs: 1_795_300_000_001.5,
  attributes: ["a", "x", "b", 7, "c", 0.5],
  events: [],
  failure: null,
};
const RESOURCE = resourceText(null);

interface Batch {
  readonly spans: readonly string[];
  readonly dropped: number;
}

function buffer(maxWaitingBytes?: number) {
  const batches: Batch[] = [];
  const tasks: (() => void)[] = [];
  const made = new SpanBuffer({
    post: (spans, dropped) => batches.push({ spans, dropped }),
    after: (_, task) => tasks.push(task),
    ...(maxWaitingBytes === undefined ? {} : { maxWaitingBytes }),
  });
  return { made, batches, tasks };
}

test("times are whole nanoseconds, and each kind of value has its own form", () => {
  const probe = new SpanProbe();
  probe.add(RESOURCE, SPAN);
  const [seen] = probe.spans;
  assert.equal(seen?.startNs, 1_795_300_000_000_250_000n);
  assert.equal(seen?.endNs, 1_795_300_000_001_500_000n);
  assert.deepEqual(seen?.attributes, { a: "x", b: 7, c: 0.5 });
  assert.equal(seen?.flags, 3, "a root says nothing of a parent");
  assert.equal(
    attributesText(["n", 1, "t", '"\n\u2028']),
    '[{"key":"n","value":{"intValue":"1"}},{"key":"t","value":{"stringValue":"\\"\\n\\u2028"}}]',
  );
});

test("a batch goes when it is full, and a smaller one when it is old", () => {
  const { made, batches, tasks } = buffer();
  for (let at = 0; at < 64; at += 1) made.add(RESOURCE, SPAN);
  assert.deepEqual(
    batches.map(({ spans }) => spans.length),
    [128],
  );
  made.add(RESOURCE, SPAN);
  assert.equal(tasks.length, 1, "one timer, whatever comes");
  tasks[0]?.();
  assert.deepEqual(batches[1], { spans: [RESOURCE, spanText(SPAN)], dropped: 0 });
  made.flush();
  assert.equal(batches.length, 2, "nothing is nothing to send");
});

test("where nobody takes spans they are dropped and counted, until some are taken", () => {
  const size = spanText(SPAN).length;
  const { made, batches } = buffer(3 * size);
  for (let at = 0; at < 10; at += 1) made.add(RESOURCE, SPAN);
  made.flush();
  assert.deepEqual(
    batches.map(({ spans, dropped }) => [spans.length / 2, dropped]),
    [[3, 7]],
  );
  made.add(RESOURCE, SPAN);
  made.flush();
  assert.deepEqual(batches[1], { spans: [], dropped: 1 });
  made.taken(2 * size);
  for (let at = 0; at < 3; at += 1) made.add(RESOURCE, SPAN);
  made.flush();
  assert.deepEqual([(batches[2]?.spans.length ?? 0) / 2, batches[2]?.dropped], [2, 1]);
});

test("a workload is named by its labels, else by itself", () => {
  const owner = { namespace: "shop", name: "cart-7f9", instance: "u1" };
  const name = (labels: Record<string, string>) =>
    /"service.name","value":\{"stringValue":"([^"]*)"/.exec(
      resourceText({ ...owner, labels }),
    )?.[1];
  assert.equal(name({}), "cart-7f9");
  assert.equal(name({ app: "" }), "cart-7f9");
  assert.equal(name({ app: "cart" }), "cart");
  assert.equal(name({ app: "cart", "app.kubernetes.io/name": "basket" }), "basket");
  assert.equal(
    resourceText(null),
    '[{"key":"service.name","value":{"stringValue":"unknown_service"}}]',
  );
});

test("times of day keep their distance to the process' clock until the day is set anew", () => {
  const clock = new FakeClock(100);
  let wallMs = 5_000;
  const time = new UnixTime(clock, () => wallMs);
  assert.equal(time.of(100.25), 5_000.25);
  clock.advance(10);
  wallMs += 11;
  assert.equal(time.of(110), 5_010, "a ms of jitter is none");
  wallMs += 3_600_000;
  assert.equal(time.of(110), 3_605_011);
});
