import * as z from "zod";

/**
 * What becomes of a field. The tables of docs/dialects are made of this, and `ineffective` fields give a warning
 * where they are used: a field is never dropped in silence.
 */
export interface Support {
  readonly how: "honoured" | "differently" | "refused" | "no effect" | "elsewhere";
  readonly note: string;
}

/** A registry of zod's makes an object for every question, and every field of every resource is asked for. */
const declared = new WeakMap<z.core.$ZodType, Support>();
const mayHaveNoEffect = new WeakMap<z.ZodType, boolean>();

function declare<T extends z.ZodType>(schema: T, how: Support["how"], note: string): T {
  // A copy, because one schema often serves several fields of which different things are said.
  const own = schema.clone() as T;
  declared.set(own, { how, note });
  return own;
}

/** What is said of the schema, or of the one that it was made of by adding checks. */
function supportOf(schema: z.ZodType): Support | undefined {
  for (let at: z.core.$ZodType | undefined = schema; at !== undefined; at = at._zod.parent) {
    const found = declared.get(at);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Is there a field in it that is taken without effect? Most schemas have none, and need not be walked again. */
function hasIneffective(schema: z.ZodType): boolean {
  const before = mayHaveNoEffect.get(schema);
  if (before !== undefined) return before;
  const found = supportOf(schema);
  const { inner, fields = {}, element, value } = partsOf(schema);
  const parts = [inner, element, value, ...Object.values(fields)];
  const has =
    found === undefined
      ? parts.some((part) => part !== undefined && hasIneffective(part))
      : found.how === "no effect";
  mayHaveNoEffect.set(schema, has);
  return has;
}

/** Acts as its dialect says. */
export function honoured<T extends z.ZodType>(schema: T, note = ""): T {
  return declare(schema, "honoured", note);
}

/** Acts otherwise than its dialect says, or only some of its values are taken; `note` says how. */
export function differently<T extends z.ZodType>(schema: T, note: string): T {
  return declare(schema, "differently", note);
}

/** Is taken without effect; whoever uses it is warned with `note`. */
export function ineffective<T extends z.ZodType>(schema: T, note: string): z.ZodOptional<T> {
  return declare(schema, "no effect", note).optional();
}

/** Is for others than a mesh (Kubernetes runs the containers), who read it there: taken without a warning. */
export function elsewhere<T extends z.ZodType>(schema: T, note: string): z.ZodOptional<T> {
  return declare(schema, "elsewhere", note).optional();
}

/** Is known and refused, with the reason. */
export function refused(reason: string): z.ZodOptional<z.ZodNever> {
  return declare(z.never({ error: reason }), "refused", reason).optional();
}

export interface FieldSupport extends Support {
  /** `spec.rules[].from[].source.principals`, `spec.portLevelMtls.*.mode`. */
  readonly path: string;
}

/** Every field that a schema knows. Throws for one of which nothing is declared. */
export function fieldsOf(schema: z.ZodType, path = ""): FieldSupport[] {
  const found = supportOf(schema);
  if (found !== undefined) return [{ path, ...found }];
  const { inner, fields, element, value } = partsOf(schema);
  if (inner !== undefined) return fieldsOf(inner, path);
  if (element !== undefined) return fieldsOf(element, `${path}[]`);
  if (value !== undefined) return fieldsOf(value, `${path}.*`);
  if (fields === undefined) throw new TypeError(`nothing is declared of the field ${path}`);
  return Object.entries(fields).flatMap(([name, field]) =>
    fieldsOf(field, path === "" ? name : `${path}.${name}`),
  );
}

/** The fields of an input that are taken without effect, by their place in it. */
export function ineffectiveIn(
  schema: z.ZodType,
  input: unknown,
  path: readonly PropertyKey[] = [],
): { readonly path: readonly PropertyKey[]; readonly note: string }[] {
  if (input === undefined || !hasIneffective(schema)) return [];
  const found = supportOf(schema);
  if (found !== undefined) return found.how === "no effect" ? [{ path, note: found.note }] : [];
  const { inner, fields, element, value } = partsOf(schema);
  if (inner !== undefined) return ineffectiveIn(inner, input, path);
  if (element !== undefined && Array.isArray(input)) {
    return input.flatMap((each, index) => ineffectiveIn(element, each, [...path, index]));
  }
  if (typeof input !== "object" || input === null) return [];
  return Object.entries(input).flatMap(([name, each]) => {
    const field = fields?.[name] ?? value;
    return field === undefined ? [] : ineffectiveIn(field, each, [...path, name]);
  });
}

interface Parts {
  readonly inner?: z.ZodType;
  readonly fields?: Readonly<Record<string, z.ZodType>>;
  readonly element?: z.ZodType;
  readonly value?: z.ZodType;
}

function partsOf(schema: z.ZodType): Parts {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) {
    return { inner: schema.def.innerType as z.ZodType };
  }
  if (schema instanceof z.ZodPipe) return { inner: schema.def.in as z.ZodType };
  if (schema instanceof z.ZodObject) return { fields: schema.shape };
  if (schema instanceof z.ZodArray) return { element: schema.def.element as z.ZodType };
  if (schema instanceof z.ZodRecord) return { value: schema.def.valueType as z.ZodType };
  return {};
}
