import assert from "node:assert/strict";
import { after, before, test } from "node:test";
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

let lab: PageLab;

before(async () => {
  if (!withChromium.skip) lab = await PageLab.start({ past: 80 });
});
after(async () => {
  if (!withChromium.skip) await lab[Symbol.asyncDispose]();
});

for (const [hash, text] of VIEWS) {
  test(
    `${hash} shows its data, axe finds nothing serious, and it fits a phone`,
    withChromium,
    async () => {
      lab.complaints.length = 0;
      const page = await lab.openView(hash, text);
      assert.deepEqual(await seriousFindings(page), [], "light");
      await page.emulateMedia({ colorScheme: "dark" });
      // Only colours are others.
      assert.deepEqual(await seriousFindings(page, ["color-contrast"]), [], "dark");
      await page.setViewportSize({ width: 360, height: 740 });
      assert.deepEqual(await page.evaluate(OVERFLOWS), []);
      await page.context().close();
      // A violation of the policy is an error of the console.
      assert.deepEqual(lab.complaints, []);
    },
  );
}
