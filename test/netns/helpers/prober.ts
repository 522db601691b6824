/**
 * A caller that begins as soon as its container runs, and asks each of its URLs again and again, every time on a connection of
 * its own. It counts what came of it: the status, and who the server (`pod-app.ts`) was told that it is. Arguments: the
 * URLs. A question is answered with the counts since the last one.
 */
import { get } from "node:http";
import { setImmediate as turn } from "node:timers/promises";
import { answerLines, machineMs } from "./answer-lines.ts";

const urls = process.argv.slice(2);
const TIMEOUT_MS = 4_000;
let firstMs: number | null = null;
let counts: Record<string, Record<string, number>> = {};

function call(url: string): Promise<string> {
  return new Promise((resolve) => {
    const calling = get(url, { agent: false, timeout: TIMEOUT_MS }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      response.on("error", (error) => resolve(codeOf(error)));
      response.on("end", () => resolve(`${response.statusCode} ${shownTo(text)}`.trim()));
    });
    calling.on("timeout", () => calling.destroy(new Error("TIMEOUT")));
    calling.on("error", (error) => resolve(codeOf(error)));
  });
}

/** The caller's identity in what the server saw; empty where it was told of none. */
function shownTo(text: string): string {
  return /URI=(spiffe:[^"\\;,]*)/.exec(text)?.[1] ?? "";
}

function codeOf(error: Error): string {
  return "code" in error ? String(error.code) : error.message;
}

async function probe(url: string): Promise<void> {
  for (;;) {
    const outcome = await call(url);
    counts[url] ??= {};
    counts[url][outcome] = (counts[url][outcome] ?? 0) + 1;
    await turn();
  }
}

answerLines(() => {
  const report = { firstMs, counts };
  counts = {};
  return report;
});
firstMs = machineMs();
for (const url of urls) void probe(url);
