import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { usePage } from "./state.ts";
import { colorOf } from "./theme.ts";

export interface Line {
  readonly label: string;
  readonly values: readonly (number | null)[];
  /** Name of a colour of the style sheet, without `--`. */
  readonly color: string;
  /** So that lines differ without their colours too. */
  readonly dash?: readonly number[];
}

interface Props {
  readonly title: string;
  readonly times: readonly number[];
  readonly lines: readonly Line[];
  readonly format: (value: number) => string;
  /** Range of the values, where it is not zero to the highest. */
  readonly range?: readonly [number, number];
}

const HEIGHT = 132;

/** Lines over time, with the newest values beside their names: the picture adds nothing that is not also said. */
export function Chart({ title, times, lines, format, range }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const { isDark } = usePage();
  const names = lines.map(({ label }) => label).join("\n");
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const made = new uPlot(optionsOf(element, lines, format, range), dataOf(times, lines), element);
    plot.current = made;
    const observer = new ResizeObserver(() => {
      made.setSize({ width: element.clientWidth, height: HEIGHT });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, [names, isDark]);
  useEffect(() => plot.current?.setData(dataOf(times, lines)), [times, lines]);
  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">{title}</span>
        <ul class="legend">
          {lines.map((line) => (
            <li key={line.label}>
              <svg viewBox="0 0 18 4" aria-hidden="true" class={`key key-${line.color}`}>
                <path d="M0 2h18" stroke-dasharray={line.dash?.join(" ") ?? "none"} />
              </svg>
              {line.label} <b>{newest(line, format)}</b>
            </li>
          ))}
        </ul>
      </figcaption>
      <div ref={box} role="img" aria-label={summaryOf(title, lines, format)} class="chart-box" />
    </figure>
  );
}

function newest({ values }: Line, format: (value: number) => string): string {
  const value = values.at(-1) ?? null;
  return value === null ? "–" : format(value);
}

/** The picture in words: now, lowest and highest of each line. */
function summaryOf(
  title: string,
  lines: readonly Line[],
  format: (value: number) => string,
): string {
  const words = lines.map((line) => {
    const known = line.values.flatMap((value) => value ?? []);
    if (known.length === 0) return `${line.label}: nothing yet`;
    const [low, high] = [Math.min(...known), Math.max(...known)];
    return `${line.label}: now ${newest(line, format)}, between ${format(low)} and ${format(high)}`;
  });
  return `${title} over the last minutes. ${words.join(". ")}`;
}

function dataOf(times: readonly number[], lines: readonly Line[]): uPlot.AlignedData {
  return [[...times], ...lines.map(({ values }) => [...values])];
}

function optionsOf(
  element: HTMLElement,
  lines: readonly Line[],
  format: (value: number) => string,
  range: readonly [number, number] | undefined,
): uPlot.Options {
  const axis = {
    stroke: colorOf("muted"),
    grid: { stroke: colorOf("line"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  return {
    width: element.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, y: false, points: { size: 5 } },
    padding: [10, 26, 0, 0],
    scales: {
      y: {
        range:
          range === undefined
            ? (_, _low, high) => [0, Math.max(high * 1.1, 1e-9)]
            : () => [range[0], range[1]],
      },
    },
    axes: [
      { ...axis, space: 70, size: 24, values: (_, ticks) => ticks.map(clockOf) },
      { ...axis, space: 28, size: 58, values: (_, ticks) => ticks.map(format) },
    ],
    series: [
      {},
      ...lines.map(({ label, color, dash }) => ({
        label,
        stroke: colorOf(color),
        width: 1.5,
        points: { show: false },
        ...(dash === undefined ? {} : { dash: [...dash] }),
      })),
    ],
  };
}

const clockOf = (seconds: number) => new Date(seconds * 1000).toLocaleTimeString("en-GB");
