import type { BenchResult } from "../result/result.ts";
import { sizeName } from "../result/size-name.ts";
import { formatBetween, workloadLabel } from "../result/workload-label.ts";
import { figureTable } from "./figure-table.ts";
import { type Markup, markup } from "./markup.ts";
import type { Section } from "./section.ts";

/** How and where it was measured, with what, and what has to be known about it. */
export function aboutSection(result: BenchResult): Section {
  const body = markup`<p>The command:</p><pre>${result.command}</pre>${factsTable(result)}${contestantsTable(result)}${method()}${problems(result)}`;
  return { id: "about", heading: "Method and machine", body };
}

function factsTable({
  machine,
  method: how,
  date,
  version,
  commit,
  versions,
}: BenchResult): Markup {
  const { cpus, cpuModel, memoryBytes, kernel, node, loadAverage, virtualised } = machine;
  const facts: readonly (readonly [string, string])[] = [
    ["Date", date],
    ["hostmesh", `${version}, commit ${commit}`],
    [
      "Machine",
      `${cpus} ${cpus === 1 ? "CPU" : "CPUs"} (${cpuModel}), ${(memoryBytes / 2 ** 30).toFixed(1)} GiB, kernel ${kernel}`,
    ],
    ["Virtual", virtualised ?? "no sign of it"],
    ["Load average", `${loadAverage.toFixed(2)} before the start`],
    ["Node", node],
    ["Topology", `${how.topology}; ${how.site}`],
    [
      "Rounds",
      `${how.rounds} of ${how.seconds} s, ${how.workers} ${how.workers === 1 ? "worker" : "workers"} for each proxy`,
    ],
    ["Requests", how.vary ? "no two heads alike" : "the same head again and again"],
    [
      "Versions",
      Object.entries(versions)
        .map(([name, one]) => `${name} ${one}`)
        .join(", "),
    ],
  ];
  const rows = facts.map(
    ([name, value]) => markup`<tr><th scope="row" class="text">${name}</th><td>${value}</td></tr>`,
  );
  return markup`<div class="scroll facts" role="region" tabindex="0" aria-label="Circumstances"><table><caption>Circumstances</caption><tbody>${rows}</tbody></table></div>`;
}

function contestantsTable({ contestants }: BenchResult): Markup | null {
  if (contestants.length === 0) return null;
  return figureTable(
    "Contestants, and the files that configure them",
    [
      { title: "contestant", isText: true, cell: ({ name }) => name },
      { title: "mode", isText: true, cell: ({ mode }) => mode },
      { title: "between", isText: true, cell: ({ between }) => formatBetween(between) },
      { title: "version", isText: true, cell: ({ version }) => version },
      {
        ...{ title: "files beside this page", isText: true },
        cell: ({ configFiles }) =>
          markup`${configFiles.map((one) => markup`<code>${one}</code> `)}`,
      },
    ],
    contestants,
  );
}

function method(): Markup {
  return markup`<ul class="plain"><li>Contestants take turns: each round measures everybody once and begins with another one. Ratios and added latency are taken within a round, because what disturbs the machine for a while disturbs both.</li><li>CPU is user and system time of all processes and threads of all proxies on the path, as the kernel counts it.</li><li>A sidecar call passes two proxies, the caller's and the callee's; there is one proxy for each service.</li><li>A round with errors, or in which a process came or went, is left out of the figures and listed below. Its errors are counted all the same.</li><li>Absolute figures belong to this machine; ratios travel better.</li></ul>`;
}

function problems({ results, scale }: BenchResult): Markup | null {
  const ofRows = results.flatMap((row) =>
    row.problems.map((one) => `${row.contestant}, ${workloadLabel(row)}, ${one}`),
  );
  const ofScale = scale.flatMap((row) =>
    row.problems.map((one) => `${row.contestant}, ${row.value} ${sizeName(row.dimension)}, ${one}`),
  );
  const all = [...ofRows, ...ofScale];
  if (all.length === 0) return null;
  return markup`<h3>Rounds left out</h3><ul class="plain">${all.map((one) => markup`<li>${one}</li>`)}</ul>`;
}
