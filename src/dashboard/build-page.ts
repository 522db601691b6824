import { join } from "node:path";
import { build } from "vite";

const PAGE = join(import.meta.dirname, "page");
/** The newest releases of 2024: `light-dark()` and `dialog` are there. */
const BROWSERS = ["chrome125", "firefox126", "safari17.5"];

/**
 * Builds the page into a folder, which is emptied: `index.html`, `page.js` and `page.css`. The same sources give the same
 * bytes: names are fixed and nothing tells the time; what serves them tells versions apart by ETag.
 */
export async function buildPage(folder: string): Promise<void> {
  await build({
    configFile: false,
    root: PAGE,
    base: "./",
    logLevel: "warn",
    oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
    build: {
      outDir: folder,
      emptyOutDir: true,
      target: BROWSERS,
      // A data: address would be needed to put them in, and the policy of the page allows them for images only.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      rolldownOptions: {
        output: {
          entryFileNames: "page.js",
          assetFileNames: "page[extname]",
          codeSplitting: false,
        },
      },
    },
  });
}

if (import.meta.main) await buildPage(join(import.meta.dirname, "built"));
