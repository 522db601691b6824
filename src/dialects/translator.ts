import type * as z from "zod";
import { type BalancerConfig, type Change, keyOf } from "../core/model.ts";
import type { Policy } from "../core/policy.ts";
import { formatPath, type Issue, issuesOf, UNKNOWN_FIELD } from "../core/schema-issue.ts";
import { withinRegexBudget } from "./regex-field.ts";
import { suggestField } from "./suggest.ts";
import { ineffectiveIn } from "./support.ts";

/** Of a bad resource, and of one that is taken, no more is told than this. */
const MAX_ISSUES = 20;
const MAX_WARNINGS = 50;

/** Which resource is meant. */
export interface ResourceName {
  /** The part of `apiVersion` before the slash; `consul` for Consul's config entries. */
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** A resource of the mesh, as it was applied. */
export interface KnownResource {
  readonly key: string;
  readonly content: unknown;
  /** ms since the epoch. */
  readonly createdMs: number;
}

/** What is part of the mesh in a Kubernetes cluster. */
export interface ClusterRules {
  /** Pods that are labelled, or all pods. */
  readonly enrol: "labelled" | "all";
  /** Whose labels and annotations count too, besides our own. */
  readonly recogniseLabels: readonly ("istio" | "linkerd")[];
  /** Where the mesh itself lives. */
  readonly meshNamespace: string;
}

/** What a translation depends on beside the resource itself. */
export interface TranslationContext {
  /** Policies in these namespaces are for the whole mesh. */
  readonly rootNamespaces: readonly string[];
  readonly trustDomain: string;
  /** What Consul's intentions do with a caller of whom they say nothing. */
  readonly defaultIntention: "allow" | "deny";
  /** For services that choose none. */
  readonly balancer: BalancerConfig;
  /** When the resource was made, ms since the epoch. */
  readonly createdMs: number;
  /** The resources are those of a Kubernetes cluster, read from its API server; absent: they were applied. */
  readonly cluster?: ClusterRules;
  /** The resources that speak of a topic, oldest first. Asking makes the translation depend on the topic. */
  about(topic: string): readonly KnownResource[];
}

/** A field that has no effect, or another than its author may expect. */
export interface Warning {
  readonly path: string;
  readonly message: string;
}

/** Kinds of records that resources are translated to. */
export const TRANSLATED_KINDS = [
  "policy",
  "route",
  "traffic",
  "scope",
  "service",
  "endpoint",
] as const;
export type TranslatedKind = (typeof TRANSLATED_KINDS)[number];

/** One record of the model. */
export type TranslatedRecord = {
  readonly [Kind in TranslatedKind]: {
    readonly kind: Kind;
    /** Unique over the mesh among its kind: but for services and endpoints it begins with the resource's own. */
    readonly key: string;
    readonly value: NonNullable<Extract<Change, { kind: Kind }>["value"]>;
  };
}[TranslatedKind];

/** A record whose key is still to be given: services and endpoints are known by what they are called. */
export type TranslatedValue = {
  readonly [Kind in TranslatedKind]: {
    readonly kind: Kind;
    readonly value: NonNullable<Extract<Change, { kind: Kind }>["value"]>;
  };
}[TranslatedKind];

export interface Translation {
  readonly records: readonly TranslatedRecord[];
  readonly warnings: readonly Warning[];
}

/** A resource that cannot be taken. The message names the first bad field, `issues` all of them. */
export class TranslationError extends Error {
  readonly issues: readonly Issue[];

  constructor(issues: readonly Issue[], cause?: unknown) {
    const { path, reason } = issues[0] ?? { path: "", reason: "refused" };
    const text = path === "" ? reason : `${path}: ${reason}`;
    super(text, cause === undefined ? undefined : { cause });
    this.name = "TranslationError";
    this.issues = issues;
  }
}

/** What a translator's own code works with, behind the schema. */
export interface Work<T> {
  readonly resource: T;
  readonly name: ResourceName;
  /** `group/Kind/namespace/name`. */
  readonly key: string;
  /** `Kind namespace/name`, for people. */
  readonly source: string;
  readonly context: TranslationContext;
  warn(path: readonly PropertyKey[], message: string): void;
  /** Refuses the resource. */
  refuse(path: readonly PropertyKey[], reason: string): never;
}

/** One form of a kind: SMI's early versions have other fields than the later ones. */
export interface Form<T> {
  readonly versions: readonly string[];
  readonly schema: z.ZodType<T>;
}

/** How one kind of a dialect becomes the internal model. */
export interface Translator {
  readonly dialect: "Istio" | "SMI" | "Consul" | "Gateway API" | "Kubernetes" | "Linkerd";
  readonly group: string;
  readonly kind: string;
  /** What is to be known of it beyond its fields, for the documentation. */
  readonly notes: readonly string[];
  readonly forms: readonly Form<unknown>[];
  /** Is the difference of two contents nothing to those who asked for its topics? Both speak of the same ones then. */
  isTheSameToOthers(before: unknown, after: unknown): boolean;
  /** Topics that such a resource speaks of; those who asked for one are translated anew when it changes. */
  provides(content: unknown, version: string): readonly string[];
  translate(
    content: unknown,
    version: string,
    name: ResourceName,
    context: TranslationContext,
  ): Translation;
}

interface Definition<T> {
  readonly dialect: Translator["dialect"];
  readonly group: string;
  readonly kind: string;
  readonly notes?: readonly string[];
  readonly forms: readonly Form<T>[];
  /** Of a resource that the schema takes. */
  provides?(resource: T): readonly string[];
  /** Default: every difference may matter to others. */
  isTheSameToOthers?(before: unknown, after: unknown): boolean;
  /** What it means; nothing: it has no effect by itself. */
  records?(work: Work<T>): readonly TranslatedValue[];
  /** The same for a kind that means policies only. */
  policies?(work: Work<T>): readonly Policy[];
  /** Brings other spellings of the fields to the schema's. Throws TranslationError where one is given twice. */
  respell?(content: unknown): Respelled;
}

/** A resource in the spelling of its schema. */
export interface Respelled {
  readonly content: unknown;
  /** Where a field of it stands in what was applied. */
  original(path: string): string;
}

const ADDED_BY_SERVERS: ReadonlySet<PropertyKey | undefined> = new Set(["metadata", "status"]);

const AS_IT_IS = (content: unknown): Respelled => ({ content, original: (path) => path });

/** Makes a translator of what is particular to a kind: its schemas, and the way from a parsed resource to policies. */
export function defineTranslator<T>(definition: Definition<T>): Translator {
  const { dialect, group, kind, notes = [], forms, respell = AS_IT_IS } = definition;
  const formOf = (version: string): Form<T> => {
    const form = forms.find(({ versions }) => versions.includes(version));
    if (form !== undefined) return form;
    const known = forms.flatMap(({ versions }) => versions).join(", ");
    const path = "apiVersion";
    throw new TranslationError([{ path, reason: `unknown version of ${kind}; known: ${known}` }]);
  };
  return {
    ...{ dialect, group, kind, notes, forms },
    isTheSameToOthers: definition.isTheSameToOthers ?? (() => false),
    provides(content, version) {
      const { schema } = formOf(version);
      const parsed = withinRegexBudget(() => schema.safeParse(respell(content).content));
      return parsed.success ? (definition.provides?.(parsed.data) ?? []) : [];
    },
    translate(content, version, name, context) {
      const { schema } = formOf(version);
      const spelt = respell(content);
      const parsed = withinRegexBudget(() => schema.safeParse(spelt.content));
      if (!parsed.success) {
        const issues = issuesOf(parsed.error).slice(0, MAX_ISSUES);
        const placed = issues.map(({ path, reason }) => ({
          path: spelt.original(path),
          reason: reason === UNKNOWN_FIELD ? unknownField(schema, path) : reason,
        }));
        throw new TranslationError(placed, parsed.error);
      }
      const place = (path: readonly PropertyKey[]) => spelt.original(formatPath(path));
      const warnings: Warning[] = ineffectiveIn(schema, spelt.content)
        // What an API server and its controllers add says nothing of who wrote the resource.
        .filter(({ path }) => context.cluster === undefined || !ADDED_BY_SERVERS.has(path[0]))
        .map(({ path, note }) => ({ path: place(path), message: `no effect: ${note}` }));
      const key = keyOfResource(name);
      const work: Work<T> = {
        resource: parsed.data,
        ...{ name, key, context },
        source: `${name.kind} ${name.namespace}/${name.name}`,
        warn: (path, message) => void warnings.push({ path: place(path), message }),
        refuse: (path, reason) => {
          throw new TranslationError([{ path: place(path), reason }]);
        },
      };
      const values = definition.records?.(work) ?? [];
      const policies = definition.policies?.(work) ?? [];
      const all = [...values, ...policies.map((value) => ({ kind: "policy" as const, value }))];
      return { records: keyed(key, all), warnings: warnings.slice(0, MAX_WARNINGS) };
    },
  };
}

/** With what is written instead, as far as that can be guessed. */
function unknownField(schema: z.ZodType, path: string): string {
  const hint = suggestField(schema, path);
  return hint === "" ? UNKNOWN_FIELD : `${UNKNOWN_FIELD}; ${hint}`;
}

/** The first record of a kind has the key of the resource, others that with a number. */
function keyed(key: string, values: readonly TranslatedValue[]): TranslatedRecord[] {
  const counts = new Map<TranslatedKind, number>();
  return values.map((one): TranslatedRecord => {
    if (one.kind === "service") return { ...one, key: keyOf(one.value) };
    if (one.kind === "endpoint") return { ...one, key: one.value.id };
    const count = (counts.get(one.kind) ?? 0) + 1;
    counts.set(one.kind, count);
    return { ...one, key: count === 1 ? key : `${key}#${count}` };
  });
}

/** Key of a resource in the store. */
export function keyOfResource({ group, kind, namespace, name }: ResourceName): string {
  return `${group}/${kind}/${namespace}/${name}`;
}
