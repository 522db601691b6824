import assert from "node:assert/strict";
import test from "node:test";
import type { LogSwitches } from "../../src/core/log-mark.ts";
import { AccessLog } from "../../src/telemetry/access-log/access-log.ts";
import { LogChooser } from "../../src/telemetry/access-log/log-chooser.ts";
import { Observers } from "../../src/telemetry/observers.ts";
import { newBudget, refill } from "../../src/telemetry/tap/tap-budget.ts";
import { WorkerTaps } from "../../src/telemetry/tap/worker-taps.ts";
import type { WorkerRecorder } from "../../src/telemetry/worker-recorder.ts";
import { makeFacts, makeWorkload } from "./make-facts.ts";
import { setUpSeries } from "./set-up-series.ts";

const OFF: LogSwitches = { default: { form: "off", sample: 1 }, errors: false, workloads: {} };
const ON: LogSwitches = { ...OFF, default: { form: "on", sample: 1 } };

function setUp(format = "") {
  const { start, series } = setUpSeries();
  const recorder = start(0);
  const lines: string[] = [];
  const watch = { texts: true, details: true };
  const chooser = new LogChooser("json", OFF, () => 0, assert.fail);
  const log = new AccessLog({
    ...{ format, host: "h", chooser },
    writer: { push: (line) => lines.push(line) > 0 },
  });
  const taps = new WorkerTaps({ host: "h", post: () => undefined });
  const attach = (observer: WorkerRecorder["log"]) => {
    recorder.log = observer;
  };
  const observers = new Observers({ log, chooser, taps, watch, attach });
  const end = (): number => {
    const facts = makeFacts({ source: makeWorkload("web") });
    recorder.started(facts.source, facts.service);
    recorder.exchange(facts);
    return lines.length;
  };
  const counted = () => series.total((region) => region.accessLogLines());
  return { observers, recorder, watch, lines, end, counted };
}

test("while nobody looks the data path is asked for nothing, and nobody is told", () => {
  const { recorder, watch, end } = setUp();
  assert.deepEqual([recorder.log, watch], [null, { texts: false, details: false }]);
  assert.equal(end(), 0);
});

test("the access log comes and goes while traffic flows, and counts what it writes", () => {
  const { observers, recorder, watch, end, counted } = setUp("istio");
  observers.setSwitches(ON);
  assert.deepEqual(watch, { texts: true, details: true });
  assert.equal(end(), 1);
  observers.setSwitches(OFF);
  assert.equal(end(), 1);
  assert.deepEqual([recorder.log, counted()], [null, 1]);
});

test("a workload that says so at its registration is written, and its neighbours are not", () => {
  const { observers, watch, end, lines } = setUp();
  const labels = { "hostmesh.io/access-log": "text" };
  const none = { services: [], removedServices: [], removedWorkloads: [] };
  const update = { ...none, revision: 1, full: false };
  observers.apply({ ...update, workloads: [{ ...makeWorkload("web"), labels }] });
  assert.equal(watch.texts, true);
  assert.equal(end(), 1);
  assert.match(lines[0] ?? "", / source=default\/web /);
  observers.apply({ ...update, workloads: [makeWorkload("web")] });
  assert.equal(end(), 1);
});

test("a tap without a log writes no line, and heads are kept only for one that shows headers", () => {
  const { observers, recorder, watch, end, counted } = setUp();
  const tap = (id: number, headers: boolean) => {
    const budget = newBudget();
    refill(new Int32Array(budget), 10, 10);
    observers.addTap({ id, filter: { headers }, budget });
  };
  tap(1, false);
  assert.deepEqual(watch, { texts: true, details: false });
  tap(2, true);
  assert.deepEqual(watch, { texts: true, details: true });
  end();
  assert.equal(counted(), 0);
  observers.removeTap(2);
  observers.removeTap(1);
  assert.deepEqual([recorder.log, watch], [null, { texts: false, details: false }]);
});
