import assert from "node:assert/strict";
import { test } from "node:test";
import { OVERFLOWS } from "../bench/page-checks.ts";
import { PageLab, seriousFindings, withChromium } from "./page-lab.ts";

/** The views, and a text of each that only its data can have put there. */
const VIEWS: readonly (readonly [hash: string, text: string])[] = [
  ["#/overview", "shop/reviews: endpoint reviews-3 is slow"],
  ["#/graph", "13 services and callers, 11 edges"],
  ["#/graph?as=table", "not secured: a host has no certificate"],
  ["#/graph?focus=shop%2Fcart", "Show all, not only shop/cart"],
  ["#/services", "10 services"],
  ["#/services/shop/reviews", "times slower than the others"],
  ["#/services/shop/payments", "the destination is not known to the mesh"],
  ["#/services/ops/nightly-report", "A caller that is no service"],
  ["#/hosts", "refused 42"],
  ["#/hosts/node-a", "963 of 1,024"],
  ["#/hosts/node-b", "It refused revision 42"],
  ["#/config", "the rule matches nobody"],
  ["#/config/VirtualService/shop/reviews", "has the subsets v1 and v2"],
  ["#/tap", "shown as [redacted]"],
];

const DESK = { width: 1280, height: 860 };
const PHONE = { width: 360, height: 740 };

test(
  "each view shows its data, axe finds nothing serious, and it fits a phone",
  withChromium,
  async (t) => {
    await using lab = await PageLab.start({ past: 80 });
    // One page goes from view to view: a load with its past takes longer than a look.
    const page = await lab.open("#/overview");
    for (const [hash, text] of VIEWS) {
      await t.test(hash, async () => {
        lab.complaints.length = 0;
        await page.setViewportSize(DESK);
        await page.emulateMedia({ colorScheme: "light" });
        await page.evaluate(`location.hash = ${JSON.stringify(hash)}`);
        await page.getByText(text, { exact: false }).first().waitFor({ state: "attached" });
        assert.deepEqual(await seriousFindings(page), [], "light");
        await page.emulateMedia({ colorScheme: "dark" });
        // Only colours are others.
        assert.deepEqual(await seriousFindings(page, ["color-contrast"]), [], "dark");
        await page.setViewportSize(PHONE);
        assert.deepEqual(await page.evaluate(OVERFLOWS), []);
        // A violation of the policy is an error of the console.
        assert.deepEqual(lab.complaints, []);
      });
    }
    await page.context().close();
  },
);
