import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after } from "node:test";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { findChromium } from "../bench/chromium.ts";
import { shopReport } from "./mock-mesh.ts";
import { type MockOptions, MockServer } from "./mock-server.ts";

export const BUILT = join(import.meta.dirname, "../../src/dashboard/built");

const program = findChromium();
export const withChromium = { skip: program === null ? "needs Chromium" : false } as const;

/** For all steps of a test; the machine may be busy. */
const PATIENCE_MS = 20_000;

let launched: Promise<Browser> | null = null;

/** One for all tests of a file: a start takes longer than most tests. */
function sharedBrowser(): Promise<Browser> {
  launched ??= chromium.launch({
    executablePath: program ?? "",
    args: ["--no-sandbox"],
    timeout: 60_000,
  });
  return launched;
}

after(async () => {
  await (await launched)?.close();
});

/** Pages of one server in a context of their own, so with no cookies of others; they tell what they complain of. */
export class Pages {
  readonly base: string;
  /** What pages wrote to their consoles as errors, and errors that nobody caught. */
  readonly complaints: string[] = [];

  constructor(base: string) {
    this.base = base;
  }

  /** Opens a hash, and waits until the view is there. */
  async open(hash: string, options: BrowserContextOptions = {}): Promise<Page> {
    const context = await (await sharedBrowser()).newContext({
      viewport: { width: 1280, height: 860 },
      ...options,
    });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    page.on("pageerror", (error) => this.complaints.push(`${hash}: ${error.message}`));
    page.on("console", (message) => {
      if (message.type() === "error") this.complaints.push(`${hash}: ${message.text()}`);
    });
    await page.goto(`${this.base}/${hash}`);
    await page.waitForSelector("main");
    return page;
  }

  /** Opens a view and waits for its data. */
  async openView(hash: string, text: string, options: BrowserContextOptions = {}): Promise<Page> {
    const page = await this.open(hash, options);
    await page.getByText(text, { exact: false }).first().waitFor({ state: "attached" });
    return page;
  }
}

/** Pages of a stand-in server. */
export class PageLab extends Pages implements AsyncDisposable {
  readonly server: MockServer;

  private constructor(server: MockServer, base: string) {
    super(base);
    this.server = server;
  }

  static async start(options: Partial<MockOptions> = {}): Promise<PageLab> {
    const report = (turn: number) => shopReport(turn);
    const server = new MockServer({ report, folder: BUILT, ...options });
    return new PageLab(server, await server.start());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.close();
  }
}

interface AxeResults {
  readonly violations: readonly {
    readonly id: string;
    readonly impact: string | null;
    readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[];
  }[];
}

const require = createRequire(import.meta.url);

/** What axe finds serious or critical in the page as it is now, by all its rules or by some. */
export async function seriousFindings(page: Page, rules?: readonly string[]): Promise<string[]> {
  if (!(await page.evaluate("'axe' in window"))) await page.evaluate(axeText());
  const options = {
    ...{ resultTypes: ["violations"], iframes: false },
    ...(rules === undefined ? {} : { runOnly: { type: "rule", values: rules } }),
  };
  const results = (await page.evaluate(
    `axe.run(document, ${JSON.stringify(options)})`,
  )) as AxeResults;
  return results.violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes[0]?.html} ${nodes[0]?.failureSummary}`);
}

function axeText(): string {
  return readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
}
