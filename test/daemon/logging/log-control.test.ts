import assert from "node:assert/strict";
import test from "node:test";
import { LogControl, LoggingError, loggingAnswers } from "../../../daemon/logging/log-control.ts";
import { type ConfigInput, configSchema } from "../../../src/config/schema.ts";
import type { LogSwitches } from "../../../src/core/log-mark.ts";
import type { LogLevel } from "../../../src/telemetry/log.ts";

function controlOf(telemetry: ConfigInput["telemetry"] = {}) {
  const switched: LogSwitches[] = [];
  const log: { level: LogLevel } = { level: "info" };
  const control = new LogControl({
    telemetry: configSchema.parse({ telemetry }).telemetry,
    log,
    onSwitches: (switches) => switched.push(switches),
  });
  return { control, switched, log };
}

test("it begins as the settings say", () => {
  const { control } = controlOf({ accessLog: "text", accessLogSample: 0.1, accessLogErrors: "on" });
  assert.deepEqual(control.state, {
    level: "info",
    accessLog: { default: { enabled: true, sample: 0.1 }, errors: true, workloads: {} },
  });
  assert.deepEqual(control.switches.default, { form: "on", sample: 0.1 });
});

test("what is given is changed, and the rest stays", () => {
  const { control, switched, log } = controlOf();
  control.set({ level: "debug" });
  assert.deepEqual([log.level, switched.length], ["debug", 0]);
  control.set({ accessLog: { workloads: { "shop/web": { enabled: true } } } });
  const state = control.set({
    accessLog: {
      default: { sample: 0.5 },
      errors: true,
      workloads: { "shop/web": { sample: 0.2 } },
    },
  });
  assert.deepEqual(state.accessLog, {
    default: { enabled: false, sample: 0.5 },
    errors: true,
    workloads: { "shop/web": { enabled: true, sample: 0.2 } },
  });
  assert.deepEqual(switched.at(-1)?.workloads, { "shop/web": { form: "on", sample: 0.2 } });
  assert.deepEqual(
    control.set({ accessLog: { workloads: { "shop/web": null } } }).accessLog.workloads,
    {},
  );
});

for (const wanted of [
  null,
  "debug",
  { level: "loud" },
  { levels: "debug" },
  { accessLog: { default: { sample: 2 } } },
  { accessLog: { workloads: { web: { enabled: true } } } },
  { accessLog: { workloads: { "shop/web": { enabled: "yes" } } } },
  { level: "debug", accessLog: { nothing: 1 } },
]) {
  test(`refuses ${JSON.stringify(wanted)} and changes nothing`, () => {
    const { control, switched, log } = controlOf();
    assert.throws(() => control.set(wanted), LoggingError);
    assert.deepEqual([log.level, switched.length], ["info", 0]);
  });
}

test("there is a most of workloads", () => {
  const { control } = controlOf();
  const many = (from: number) =>
    Object.fromEntries(
      Array.from({ length: 600 }, (_, at) => [`shop/web-${from + at}`, { enabled: true }]),
    );
  control.set({ accessLog: { workloads: many(0) } });
  assert.throws(() => control.set({ accessLog: { workloads: many(600) } }), /more than 1000/);
  assert.equal(Object.keys(control.switches.workloads).length, 600);
});

test("__proto__ is a name like any other", () => {
  const { control } = controlOf();
  control.set(JSON.parse('{"accessLog":{"workloads":{"__proto__/x":{"enabled":true}}}}'));
  assert.deepEqual(Object.keys(control.switches.workloads), ["__proto__/x"]);
});

test("the registry's question changes what it gives and is answered with how it stands", () => {
  const { control } = controlOf();
  const answer = loggingAnswers(control);
  assert.equal(answer({ kind: "logging" }).level, "info");
  assert.equal(answer({ kind: "logging", level: "warn" }).level, "warn");
  assert.throws(() => answer({ kind: "logging", level: "loud" }), LoggingError);
});
