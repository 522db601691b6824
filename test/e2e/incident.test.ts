import assert from "node:assert/strict";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { chromium } from "playwright-core";
import { createAuthority, privateKeyPem } from "../../src/identity/x509.ts";
import { findChromium } from "../bench/chromium.ts";
import { skip, temporary } from "../daemon/up-process.ts";
import { HOUR_MS, validity } from "../helpers/mesh-lab.ts";
import { until } from "../helpers/until.ts";
import { RoutingStage } from "./routing-stage.ts";

/** Names a version of the service that nobody defines, and has a rule that nothing reaches. */
const BAD_RESOURCE = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: payment }
spec:
  hosts: [payment]
  http:
    - route: [{ destination: { host: payment, subset: v3 } }]
    - match: [{ uri: { prefix: /refunds } }]
      route: [{ destination: { host: payment } }]
`;
const FROM = "127.0.0.77";
/** Eight times the fast ones: on a busy machine these take longer too. */
const SLOW_MS = 800;
const FAST_MS = 100;
/** So many at once that the slow one is asked now and then. */
const CALLERS = 20;
const PATIENCE_MS = 20_000;
const chromiumPath = findChromium();

test("an incident is found by check, stat, describe and the page", { skip }, async (t) => {
  const stage = await stageWithOldAuthority(t);
  const traffic = await breakThings(t, stage);
  /** Runs a command until it says all of this; what it said is part of this test's report. */
  const says = async (args: readonly string[], ...parts: readonly RegExp[]) => {
    let said = "";
    const missing = () => parts.filter((part) => !part.test(said)).join(" ");
    const all = async () => {
      said = (await stage.hostmesh(...args)).stdout;
      return missing() === "";
    };
    try {
      await until(all, { timeoutMs: PATIENCE_MS });
    } catch (cause) {
      throw new Error(`${args.join(" ")}: not said ${missing()}:\n${said}`, { cause });
    }
    t.diagnostic(`$ hostmesh ${args.join(" ")}\n${said}`);
  };

  await t.test("check names all four, and what to do", () =>
    says(
      ["check", "-o", "short", "--admin", "http://127.0.0.1:1"],
      /default\/catalog: endpoint node-a\/catalog-3 .* takes \d.*, its peers \d.*; it gets \d\.\d % of the requests in place of 33\.3 %/,
      /default\/cart: 100 % of \d+ requests fail.*got 500/,
      /certificate of spiffe:\/\/cluster\.local\/ns\/default\/sa\/cart ends in 3\dm\d*s? and is not renewed/,
      /authority is valid for 3\dm/,
      /VirtualService default\/payment: spec\.http\[1\].*: never reached/,
      /nobody defines the subset v3 of default\/payment/,
      /hostmesh stat catalog\.default/,
    ),
  );
  await t.test("stat shows the service that fails, and the endpoint beside its peers", async () => {
    await says(["stat"], /^cart +0 % /m, /^catalog +100 % /m);
    await says(["stat", "catalog"], /^catalog-3 +\S+ +passing +\d\.\d % /m);
  });
  await t.test("describe tells of each", async () => {
    await says(["describe", "svc/catalog"], /endpoint node-a\/catalog-3 takes /);
    await says(["describe", "svc/cart"], /0 % /);
    await says(["describe", "svc/payment"], /v3.*\[?.*payment/);
    await says(["describe", "workload/front"], /valid for 3\dm/);
  });
  await t.test(
    "the page's overview names all four",
    {
      skip: chromiumPath === null && "needs Chromium",
    },
    () => pageNames(stage),
  );
  await traffic.stop();
});

/** A mesh whose authority ends in 40 minutes: no certificate can be renewed for longer. */
async function stageWithOldAuthority(t: TestContext): Promise<RoutingStage> {
  const old = validity(-24 * HOUR_MS, (40 / 60) * HOUR_MS);
  const { certificate, privateKey } = createAuthority({ commonName: "an old root", ...old });
  const folder = await temporary();
  t.after(() => rm(folder, { recursive: true, force: true }));
  const [caFile, caKeyFile] = [join(folder, "ca.pem"), join(folder, "ca.key")];
  await writeFile(caFile, certificate);
  await writeFile(caKeyFile, privateKeyPem(privateKey), { mode: 0o600 });
  return RoutingStage.start(t, { registry: { port: 0, tlsPort: 0, caFile, caKeyFile } });
}

/** Starts the services and those who call them. */
async function breakThings(
  t: TestContext,
  stage: RoutingStage,
): Promise<{ stop(): Promise<void> }> {
  for (const at of [1, 2, 3]) {
    const catalog = await stage.instance("catalog", `catalog-${at}`);
    catalog.answer = (_, response) => {
      setTimeout(() => response.end("tea"), at === 3 ? SLOW_MS : FAST_MS);
    };
  }
  const cart = await stage.instance("cart", "cart-1");
  cart.answer = (_, response) => {
    setTimeout(() => response.writeHead(500).end("no disk"), FAST_MS);
  };
  await stage.instance("payment", "payment-1");
  await stage.workload("front", FROM);
  const applied = await stage.hostmesh("apply", "-f", await stage.file(BAD_RESOURCE));
  assert.equal(applied.code, 0, applied.stderr);
  let stopped = false;
  const call = async (service: string) => {
    // Who gets no answer asks again: the commands are to tell of it, not the callers.
    const ask = () => stage.ask(`${service}/items`, { from: FROM }).catch(() => null);
    while (!stopped) await ask();
  };
  const targets = [...Array<string>(CALLERS).fill("catalog"), "cart"];
  const calling = Promise.all(targets.map(call));
  const stop = async () => {
    stopped = true;
    await calling;
  };
  t.after(stop);
  return { stop };
}

async function pageNames(stage: RoutingStage): Promise<void> {
  const browser = await chromium.launch({
    executablePath: chromiumPath ?? "",
    args: ["--no-sandbox"],
  });
  try {
    const page = await browser.newPage();
    await page.goto(`${stage.dashboard}#/overview`);
    for (const words of [
      /default\/catalog: endpoint node-a\/catalog-3 is slow/,
      /times slower than the others .* gets .* of the requests in place of 33 %/,
      /default\/cart fails/,
      /node-a has a certificate that ends in 3\d min/,
      /VirtualService default\/payment has warnings/,
    ]) {
      await page.getByText(words).first().waitFor({ timeout: PATIENCE_MS });
    }
  } finally {
    await browser.close();
  }
}
