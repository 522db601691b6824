/**
 * Manifests are written once, as templates over values: plain objects in which some places are expressions. `resolve.ts`
 * makes objects of them, and `helm/` the text of a chart. There are few expressions, so that a chart stays easy to read.
 */
export type Template =
  | string
  | number
  | boolean
  | Expression
  | readonly Template[]
  | { readonly [key: string]: Template };

export type TemplateMap = { readonly [key: string]: Template };

/** Which of the two makes something of a template. */
export type Target = "objects" | "helm";

/** What decides about a part: a value (`path`, with dots), or who asks. */
export type Condition =
  | { readonly path: string; readonly is: "set" }
  | { readonly path: string; readonly is: "equal" | "different"; readonly to: string }
  | { readonly target: Target };

/** Marks expressions, which no manifest holds by itself. */
const EXPRESSION = Symbol("expression");

export type Expression = { readonly [EXPRESSION]: true } & (
  | { readonly op: "value"; readonly path: string; readonly as: "text" | "number" }
  | { readonly op: "text"; readonly parts: readonly (string | Expression)[] }
  | { readonly op: "yaml" | "digest"; readonly path: string }
  | { readonly op: "optional"; readonly path: string }
  | {
      readonly op: "choice";
      readonly condition: Condition;
      readonly yes: Template;
      /** Absent: the entry or the item is left out. */
      readonly no?: Template;
    }
  | { readonly op: "all"; readonly path: string }
);

/** Not of a chart's values: the namespace that all is installed into. */
export const NAMESPACE_PATH = "namespace";

export function isExpression(template: Template | undefined): template is Expression {
  return typeof template === "object" && EXPRESSION in template;
}

/** A text, number or boolean of the values. */
export function value(path: string): Expression {
  return { [EXPRESSION]: true, op: "value", path, as: "text" };
}

/** A number of the values: within a text a chart would write large ones with an exponent. */
export function number(path: string): Expression {
  return { [EXPRESSION]: true, op: "value", path, as: "number" };
}

/** A text with values in it. */
export function text(...parts: readonly (string | Expression)[]): Expression {
  return { [EXPRESSION]: true, op: "text", parts };
}

/** A structure of the values; its entry is left out where it is empty. */
export function optional(path: string): Expression {
  return { [EXPRESSION]: true, op: "optional", path };
}

/** A structure of the values, as the text of a YAML document with sorted names. */
export function yaml(path: string): Expression {
  return { [EXPRESSION]: true, op: "yaml", path };
}

/** SHA-256 of such a text, in hexadecimal digits. */
export function digest(path: string): Expression {
  return { [EXPRESSION]: true, op: "digest", path };
}

/** An entry of a map or an item of a list that is there under a condition, or another one in its place. */
export function choice(condition: Condition, yes: Template, no?: Template): Expression {
  return { [EXPRESSION]: true, op: "choice", condition, yes, ...(no === undefined ? {} : { no }) };
}

/** All entries of a map of the values, to be spread into a map; or all items of a list, as an item of a list. */
export function all(path: string): Expression {
  return { [EXPRESSION]: true, op: "all", path };
}

/** As `all`, for maps: `{ ...entriesOf("podLabels") }`. */
export function entriesOf(path: string): TemplateMap {
  return { [`...${path}`]: all(path) };
}

export const isSet = (path: string): Condition => ({ path, is: "set" });
export const equals = (path: string, to: string): Condition => ({ path, is: "equal", to });
export const differs = (path: string, to: string): Condition => ({ path, is: "different", to });
export const onlyIn = (target: Target): Condition => ({ target });

/** One object of the cluster, and when it is made. */
export interface Manifest {
  /** Name of its file, without an ending. */
  readonly file: string;
  readonly when?: Condition;
  readonly object: TemplateMap;
}
