import { paint, printable, type Style } from "../../core/terminal.ts";
import type { TerminalOutput } from "../terminal-output.ts";
import { type CheckGroup, type Finding, failure, type Verdict } from "./finding.ts";

export interface GroupResult {
  readonly group: string;
  readonly findings: readonly Finding[];
}

const MARKS: Readonly<Record<Verdict, readonly [mark: string, style: Style]>> = {
  ok: ["ok", "good"],
  warning: ["warning", "warn"],
  failure: ["failure", "bad"],
  skipped: ["skipped", "dim"],
};

/** Runs the groups in order; a check that throws is itself a failure and does not stop the others. */
export async function runChecks(
  groups: readonly CheckGroup[],
  onResult: (result: GroupResult) => void,
): Promise<GroupResult[]> {
  const results: GroupResult[] = [];
  for (const group of groups) {
    const result = { group: group.title, findings: await findingsOf(group) };
    results.push(result);
    onResult(result);
  }
  return results;
}

async function findingsOf(group: CheckGroup): Promise<readonly Finding[]> {
  try {
    return await group.run();
  } catch (reason) {
    const text = reason instanceof Error ? reason.message : String(reason);
    return [failure(`the check itself failed: ${text}`, "Please report this as a bug.")];
  }
}

/** Prints one group: a title, a line per finding, and the remedy below what is not right. */
export function printGroup(output: TerminalOutput, { group, findings }: GroupResult): void {
  output.line(paint(group, "strong", output.color));
  for (const { verdict, text, remedy } of findings) {
    const [mark, style] = MARKS[verdict];
    output.line(`  ${paint(mark.padEnd(7), style, output.color)}  ${printable(text)}`);
    if (remedy !== undefined)
      output.line(`           ${paint("->", "dim", output.color)} ${printable(remedy)}`);
  }
  output.line("");
}

/** One line for each warning and failure, its fields apart by tabs: verdict, group, what is wrong, what to do. */
export function printShort(output: TerminalOutput, results: readonly GroupResult[]): void {
  for (const { group, findings } of results) {
    for (const { verdict, text, remedy = "" } of findings) {
      if (verdict !== "warning" && verdict !== "failure") continue;
      output.line([verdict, group, text, remedy].map(printable).join("\t"));
    }
  }
}

/** The last line: how many of each, and whether that is good. */
export function summary(results: readonly GroupResult[]): { healthy: boolean; text: string } {
  const count = (verdict: Verdict): number =>
    results.flatMap(({ findings }) => findings).filter((finding) => finding.verdict === verdict)
      .length;
  const parts = (["ok", "warning", "failure", "skipped"] as const)
    .map((verdict) => `${count(verdict)} ${verdict}`)
    .join(", ");
  const healthy = count("failure") === 0;
  return { healthy, text: `${healthy ? "No failure" : "Something is wrong"}: ${parts}.` };
}
