import { createHash } from "node:crypto";
import type { BenchResult } from "../result/result.ts";
import { aboutSection } from "./about-section.ts";
import { cpuSection, throughputSection } from "./bars-section.ts";
import { identities } from "./identity.ts";
import { latencySection } from "./latency-section.ts";
import { Markup, markup } from "./markup.ts";
import { memorySection } from "./memory-section.ts";
import { scaleSection } from "./scale-section.ts";
import type { Section } from "./section.ts";
import { STYLE } from "./style.ts";
import { summary } from "./summary.ts";
import { tablesSection } from "./tables-section.ts";
import { commonLabel } from "./workloads.ts";

/**
 * The result as one HTML file that needs nothing else: no script, no font, no picture from anywhere. Its policy forbids
 * all but its own style sheet, which is named by its hash, so that not even a name that slipped through escaping could
 * do anything.
 */
export function reportHtml(result: BenchResult): string {
  const looks = identities(result.contestants);
  const sections = [
    latencySection(result, looks),
    cpuSection(result, looks),
    throughputSection(result, looks),
    memorySection(result),
    scaleSection(result),
    tablesSection(result),
    aboutSection(result),
  ].filter((one) => one !== null);
  const page = markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy()}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>hostmesh bench, ${result.date.slice(0, 10)}</title>
<style>${new Markup(STYLE)}</style>
</head>
<body>
<header>
<h1>What one proxy per host costs, and what sidecars cost</h1>
<p class="lead">${lead(result)}</p>
${warnings(result)}
<nav aria-label="Sections"><ul>${sections.map(({ id, heading }) => markup`<li><a href="#${id}">${heading}</a></li>`)}</ul></nav>
</header>
<main>
${summary(result)}
${sections.map(sectionMarkup)}
</main>
<footer>Made by hostmesh ${result.version}. The figures are in result.json beside this page, every single measurement among them.</footer>
</body>
</html>
`;
  return page.text;
}

function policy(): string {
  const hash = createHash("sha256").update(STYLE).digest("base64");
  return `default-src 'none'; style-src 'sha256-${hash}'; img-src data:; base-uri 'none'; form-action 'none'`;
}

function lead({ results, machine, date, commit }: BenchResult): string {
  const where = `${machine.cpus} CPUs (${machine.cpuModel}), ${date.slice(0, 10)}, commit ${commit}`;
  const common = commonLabel(results);
  return common === "" ? where : `${common}; ${where}`;
}

/** What is missing and what to know, before any figure. */
function warnings({ missing, notes }: BenchResult): Markup | null {
  if (missing.length + notes.length === 0) return null;
  return markup`<div class="warning"><ul>${missing.map(({ name, reason }) => markup`<li><b>Not measured: ${name}.</b> ${reason}</li>`)}${notes.map((note) => markup`<li>${note}</li>`)}</ul></div>`;
}

function sectionMarkup({ id, heading, body }: Section): Markup {
  return markup`<section id="${id}" aria-labelledby="${id}-h"><h2 id="${id}-h">${heading}</h2>${body}</section>\n`;
}
