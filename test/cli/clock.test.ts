import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { clockFinding } from "../../src/cli/check/clock.ts";
import { configSchema } from "../../src/config/schema.ts";
import { issue, newAuthority, spiffe } from "../helpers/mesh-lab.ts";

const registryAt = (...urls: string[]) => configSchema.parse({ registry: { urls } });

test("the clock is compared on TLS too, also where a wrong one keeps certificates from verifying", async (t) => {
  const { chain, privateKey } = issue(newAuthority(), spiffe("registry"));
  let aheadMs = 0;
  const server = createServer({ cert: chain, key: privateKey }, (_, response) => {
    response.setHeader("date", new Date(Date.now() + aheadMs).toUTCString());
    response.statusCode = 403;
    response.end("{}");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => void server.close());
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  assert.equal((await clockFinding(registryAt("http://127.0.0.1:1", url))).verdict, "ok");
  aheadMs = 3_600_000;
  const { verdict, text } = await clockFinding(registryAt(url));
  assert.equal(verdict, "warning");
  assert.match(text, /differs from the registry's by 3\d{3}\.\d s/);
  const none = await clockFinding(registryAt("http://127.0.0.1:1"));
  assert.deepEqual([none.verdict, none.text], ["skipped", "clock: no registry to compare with"]);
});
