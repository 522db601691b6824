import { stringify } from "yaml";
import { isList } from "../resolve.ts";
import {
  type Condition,
  type Expression,
  isExpression,
  type Manifest,
  NAMESPACE_PATH,
  type Template,
  type TemplateMap,
} from "../template.ts";

/** The text of one manifest as a template of a chart; null: it is not of the chart. */
export function chartTemplate({ when, object }: Manifest): string | null {
  if (when !== undefined && "target" in when) {
    return when.target === "helm" ? `${mapLines(object, 0).join("\n")}\n` : null;
  }
  return `${under(when, 0, mapLines(object, 0)).join("\n")}\n`;
}

/** Lines between `if` and `end`; a condition on who asks is decided here. */
function under(
  condition: Condition | undefined,
  indent: number,
  lines: readonly string[],
  others: readonly string[] = [],
): string[] {
  const pad = " ".repeat(indent);
  if (condition === undefined) return [...lines];
  if ("target" in condition) return [...(condition.target === "helm" ? lines : others)];
  const otherwise = others.length === 0 ? [] : [`${pad}{{- else }}`, ...others];
  return [
    `${pad}{{- if ${conditionText(condition)} }}`,
    ...lines,
    ...otherwise,
    `${pad}{{- end }}`,
  ];
}

function conditionText(condition: Exclude<Condition, { target: unknown }>): string {
  const place = reference(condition.path);
  if (condition.is === "set") return place;
  return `${condition.is === "equal" ? "eq" : "ne"} ${place} ${JSON.stringify(condition.to)}`;
}

function reference(path: string): string {
  return path === NAMESPACE_PATH ? ".Release.Namespace" : `.Values.${path}`;
}

function mapLines(map: TemplateMap, indent: number): string[] {
  return Object.entries(map).flatMap(([key, entry]) => entryLines(key, entry, indent));
}

function entryLines(key: string, entry: Template, indent: number): string[] {
  const pad = " ".repeat(indent);
  const name = scalarText(key);
  if (!isExpression(entry)) return [...headed(`${pad}${name}:`, entry, indent)];
  switch (entry.op) {
    case "all":
      return withValue(entry.path, indent, [`${pad}{{- toYaml . | nindent ${indent} }}`]);
    case "optional":
      return withValue(entry.path, indent, [
        `${pad}${name}:`,
        `${pad}  {{- toYaml . | nindent ${indent + 2} }}`,
      ]);
    case "yaml":
      return [
        `${pad}${name}: |`,
        `${pad}  {{- toYaml ${reference(entry.path)} | nindent ${indent + 2} }}`,
      ];
    case "choice": {
      const others = entry.no === undefined ? [] : entryLines(key, entry.no, indent);
      return under(entry.condition, indent, entryLines(key, entry.yes, indent), others);
    }
    default:
      return [`${pad}${name}: ${inlineText(entry)}`];
  }
}

function withValue(path: string, indent: number, lines: readonly string[]): string[] {
  const pad = " ".repeat(indent);
  return [`${pad}{{- with ${reference(path)} }}`, ...lines, `${pad}{{- end }}`];
}

/** A name or a dash with what belongs to it: on its line, or below it. */
function headed(head: string, content: Exclude<Template, Expression>, indent: number): string[] {
  if (isList(content)) {
    if (content.length === 0) return [`${head} []`];
    return [head, ...content.flatMap((item) => itemLines(item, indent + 2))];
  }
  if (typeof content !== "object") return [`${head} ${scalarText(content)}`];
  const isEmpty = Object.keys(content).length === 0;
  return isEmpty ? [`${head} {}`] : [head, ...mapLines(content, indent + 2)];
}

function itemLines(item: Template, indent: number): string[] {
  const pad = " ".repeat(indent);
  if (isExpression(item)) {
    if (item.op === "choice") {
      const others = item.no === undefined ? [] : itemLines(item.no, indent);
      return under(item.condition, indent, itemLines(item.yes, indent), others);
    }
    if (item.op === "all") {
      return withValue(item.path, indent, [`${pad}{{- toYaml . | nindent ${indent} }}`]);
    }
    return [`${pad}- ${inlineText(item)}`];
  }
  if (isList(item)) throw new Error("a list in a list is not written");
  if (typeof item !== "object") return [`${pad}- ${scalarText(item)}`];
  const [first = "", ...rest] = mapLines(item, indent + 2);
  if (first.trimStart().startsWith("{{"))
    throw new Error(`an item cannot begin with a condition: ${first}`);
  return [`${pad}- ${first.slice(indent + 2)}`, ...rest];
}

/** An expression on one line. */
function inlineText(expression: Expression): string {
  switch (expression.op) {
    case "value":
      return `{{ ${reference(expression.path)} | toJson }}`;
    case "digest":
      return `{{ toYaml ${reference(expression.path)} | sha256sum }}`;
    case "text":
      return `"${expression.parts.map((part) => (typeof part === "string" ? escaped(part) : `{{ ${partText(part)} }}`)).join("")}"`;
    default:
      throw new Error(`${expression.op} does not fit on a line`);
  }
}

function partText(part: Expression): string {
  if (part.op === "value") {
    return part.as === "number" ? `${reference(part.path)} | toJson` : reference(part.path);
  }
  throw new Error(`${part.op} does not fit into a text`);
}

/** As it stands between double quotes. */
function escaped(part: string): string {
  return literal(JSON.stringify(part).slice(1, -1));
}

/** What a text has in braces is for another program, not for Helm. */
function literal(text: string): string {
  return text.replaceAll("{{", '{{ "{{" }}');
}

function scalarText(scalar: string | number | boolean): string {
  // A text of several lines would need its place's indentation.
  if (typeof scalar === "string" && scalar.includes("\n")) return literal(JSON.stringify(scalar));
  return literal(stringify(scalar, { lineWidth: 0, defaultStringType: "PLAIN" }).trimEnd());
}
