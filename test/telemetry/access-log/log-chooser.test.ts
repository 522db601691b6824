import assert from "node:assert/strict";
import test from "node:test";
import { type LogSwitches, logMarkOf } from "../../../src/core/log-mark.ts";
import type { DataUpdate } from "../../../src/core/snapshot.ts";
import { LogChooser } from "../../../src/telemetry/access-log/log-chooser.ts";
import { makeEndpoint, makeFacts, makeService, makeWorkload } from "../make-facts.ts";

const NONE: DataUpdate = {
  ...{ revision: 1, full: false, services: [], removedServices: [] },
  ...{ workloads: [], removedWorkloads: [] },
};
const OFF: LogSwitches = { default: { form: "off", sample: 1 }, errors: false, workloads: {} };
const ON: LogSwitches = { ...OFF, default: { form: "on", sample: 1 } };

function chooserOf(switches: LogSwitches, update: Partial<DataUpdate> = {}) {
  const warnings: string[] = [];
  const chooser = new LogChooser(
    "text",
    switches,
    () => 0.5,
    (...words) => warnings.push(words.join(" ")),
  );
  chooser.apply({ ...NONE, ...update });
  return { chooser, warnings };
}

const web = { ...makeWorkload("web"), addresses: ["10.0.0.5"] };
const api = { ...makeWorkload("api", 1), addresses: ["10.0.0.9"] };
const call = makeFacts({
  source: web,
  service: makeService("api"),
  endpoint: makeEndpoint("h/api-1"),
});
const labelled = (one: typeof web, form: string, sample?: string) => ({
  ...one,
  labels: {
    "hostmesh.io/access-log": form,
    ...(sample === undefined ? {} : { "hostmesh.io/access-log-sample": sample }),
  },
});
const trace = (last: string) => `00-0af7651916cd43dd8448eb21${last}-b7ad6b7169203331-01`;

test("without a word of a workload the default counts, in the daemon's own form", () => {
  assert.equal(chooserOf(OFF).chooser.choose(call), "off");
  assert.equal(chooserOf(OFF).chooser.isOn, false);
  assert.equal(chooserOf(ON).chooser.choose(call), "text");
});

test("what is said of the caller or the called goes before the default, and who wants it has its way", () => {
  const on = chooserOf(OFF, { workloads: [labelled(web, "json"), api] }).chooser;
  assert.deepEqual([on.isOn, on.choose(call)], [true, "json"]);
  assert.equal(on.choose(makeFacts({ source: api })), "off");
  assert.equal(
    chooserOf(ON, { workloads: [web, labelled(api, "off")] }).chooser.choose(call),
    "off",
  );
  const both = { workloads: [labelled(web, "off"), labelled(api, "on")] };
  assert.equal(chooserOf(OFF, both).chooser.choose(call), "text");
});

test("a workload that is gone, or says nothing any more, is as the default has it", () => {
  const { chooser } = chooserOf(OFF, { workloads: [labelled(web, "on")] });
  chooser.apply({ ...NONE, removedWorkloads: ["default/web"] });
  assert.equal(chooser.isOn, false);
  chooser.apply({ ...NONE, workloads: [labelled(web, "on")] });
  chooser.apply({ ...NONE, full: true, workloads: [web] });
  assert.deepEqual([chooser.isOn, chooser.choose(call)], [false, "off"]);
});

test("the Meta of a local endpoint speaks for it, and that of another host's does not", () => {
  const meta = { "hostmesh.io/access-log": "json" };
  const local = { ...makeEndpoint("h/api-1"), meta };
  const away = { ...makeEndpoint("x/api-2"), meta, local: false };
  const services = [makeService("api", [local, away])];
  const { chooser } = chooserOf(OFF, { services });
  assert.equal(chooser.choose({ ...call, endpoint: local }), "json");
  assert.equal(chooser.choose({ ...call, endpoint: away }), "off");
  chooser.apply({ ...NONE, removedServices: ["default/api"] });
  assert.equal(chooser.isOn, false);
});

test("what is set while the daemon runs goes before registrations, field by field", () => {
  const workloads = { "default/web": { form: "off" as const }, "default/db": { sample: 0 } };
  const marked = { workloads: [labelled(web, "on", "1")] };
  const { chooser } = chooserOf({ ...ON, workloads }, marked);
  assert.equal(chooser.choose(makeFacts({ source: web })), "off");
  const db = { ...makeWorkload("db", 2), addresses: ["10.0.0.7"] };
  chooser.apply({ ...NONE, workloads: [db] });
  assert.equal(chooser.choose(makeFacts({ source: db })), "off");
  chooser.switches = { ...ON, workloads: { "default/api": { form: "off" } } };
  // Without a workload an endpoint is known by its service.
  assert.equal(chooser.choose({ ...call, source: null }), "off");
});

test("a sample is the same on every host, and as large as it should be", () => {
  const half = { ...ON, default: { form: "on" as const, sample: 0.5 } };
  const [here, there] = [chooserOf(half).chooser, chooserOf(half).chooser];
  assert.equal(here.choose(makeFacts({ traceparent: trace("7fffffff") })), "text");
  assert.equal(here.choose(makeFacts({ traceparent: trace("80000000") })), "off");
  let written = 0;
  for (let at = 0; at < 4_000; at += 1) {
    const facts = makeFacts({ traceparent: "", requestId: `request-${at}` });
    const chosen = here.choose(facts);
    assert.equal(there.choose(facts), chosen);
    if (chosen !== "off") written += 1;
  }
  assert.ok(written > 1_800 && written < 2_200, String(written));
});

test("failures are written beyond the sample and the default, but not where somebody said off", () => {
  const failed = makeFacts({ source: web, status: 503, error: "NO_ENDPOINT" });
  const errors = { ...OFF, errors: true };
  assert.equal(chooserOf(errors).chooser.choose(failed), "text");
  assert.equal(chooserOf(errors).chooser.choose(call), "off");
  assert.equal(
    chooserOf({ ...errors, default: { form: "on", sample: 0 } }).chooser.choose(failed),
    "text",
  );
  assert.equal(
    chooserOf(errors, { workloads: [labelled(web, "off")] }).chooser.choose(failed),
    "off",
  );
  const grpc = makeFacts({ grpcStatus: 13 });
  assert.equal(chooserOf(errors).chooser.choose(grpc), "text");
});

test("a mark that cannot be read has no effect, and is told", () => {
  const { chooser, warnings } = chooserOf(OFF, { workloads: [labelled(web, "loud", "2")] });
  assert.equal(chooser.choose(call), "off");
  assert.deepEqual(warnings, [
    "default/web hostmesh.io/access-log no effect: must be one of off, on, json, text",
    "default/web hostmesh.io/access-log-sample no effect: must be a number from 0 to 1",
  ]);
  assert.equal(logMarkOf({ app: "web" }, assert.fail), null);
  assert.deepEqual(logMarkOf({ "hostmesh.io/access-log-sample": "0.1" }, assert.fail), {
    sample: 0.1,
  });
});
