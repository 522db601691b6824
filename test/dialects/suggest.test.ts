import assert from "node:assert/strict";
import { test } from "node:test";
import * as z from "zod";
import { suggestField } from "../../src/dialects/suggest.ts";
import { honoured, refused } from "../../src/dialects/support.ts";

const rule = z.strictObject({
  timeout: honoured(z.string()),
  retries: honoured(z.string()),
  labels: z.record(z.string(), honoured(z.string())),
});
const schema = z.strictObject({
  spec: z.strictObject({ http: z.array(rule), hosts: honoured(z.string()), tls: refused("no") }),
});

test("the name nearest to a misspelt one is suggested, of those at its place", () => {
  assert.equal(suggestField(schema, "spec.http[3].timeuot"), "did you mean timeout?");
  assert.equal(suggestField(schema, "spec.timeuot"), "known here: http, hosts");
  assert.equal(suggestField(schema, "specs"), "did you mean spec?");
});

test("a name that is no plain word is looked for at its own place", () => {
  assert.equal(suggestField(schema, 'spec.http[0]["<<"]'), "known here: timeout, retries, labels");
  assert.equal(suggestField(schema, 'spec.http[0]["a.b"]'), "known here: timeout, retries, labels");
});

test("a huge name is compared with nothing", () => {
  const started = process.cpuUsage().user;
  for (let round = 0; round < 20; round++) {
    const path = `spec.http[0].${"timeout".repeat(200_000)}`;
    assert.equal(suggestField(schema, path), "known here: timeout, retries, labels");
  }
  assert(process.cpuUsage().user - started < 2_000_000, "the work grows with the name");
});
