import * as z from "zod";
import { DEFAULT_NAMESPACE } from "../../core/model.ts";
import { namespaceName, resourceSchema } from "../envelope.ts";
import { differently, honoured } from "../support.ts";
import {
  defineTranslator,
  type KnownResource,
  type TranslatedValue,
  type TranslationContext,
  type Translator,
  type Work,
} from "../translator.ts";
import { unset } from "./http-fields.ts";
import { partitionField, serviceName, setByConsul } from "./intention-fields.ts";
import { respellEntry } from "./respell.ts";

const ENTRY_GROUP = "consul";
const RESOURCE_GROUP = "consul.hashicorp.com";
const SPELLINGS =
  "Fields may be spelt as in Consul's JSON (`DefaultSubset`), its other form (`default_subset`) or that of Kubernetes (`defaultSubset`).";
const ONE_COUNTS =
  "Of several resources for one service the oldest counts, and the others are warned of.";

/** A config entry, in whichever form it was applied. */
export interface ConfigEntry<Fields> {
  readonly namespace: string;
  /** Of its service. */
  readonly name: string;
  readonly fields: Fields;
  /** `Kind namespace/name`, for people. */
  readonly source: string;
  /** Key of the resource, and when it was made. */
  readonly key: string;
  readonly createdMs: number;
  /** Where the fields stand in the resource. */
  readonly at: readonly PropertyKey[];
}

/** The two forms of a kind of config entry, and how to read them. */
export interface ConfigEntryKind<Fields> {
  /** Consul's name of the kind, and that of its resource in Kubernetes. */
  readonly kind: string;
  readonly resourceKind: string;
  readonly flat: z.ZodType;
  readonly nested: z.ZodType;
  topicOf(namespace: string, name: string): string;
  /** The entry that counts for a service; null: there is none. The translation that asks depends on it. */
  find(context: TranslationContext, namespace: string, name: string): ConfigEntry<Fields> | null;
  /** Null: of another version, which did not know its fields. */
  read(known: KnownResource): ConfigEntry<Fields> | null;
}

type Origin = Pick<ConfigEntry<unknown>, "key" | "source" | "createdMs">;
interface Named {
  readonly name: string;
  readonly namespace?: string;
}

/** Both forms of a kind with the same fields: Consul's own (flat), and a resource of consul-k8s. */
export function configEntryKind<
  Shape extends z.ZodRawShape,
  Fields = z.output<z.ZodObject<Shape, z.core.$strict>>,
>(definition: {
  readonly kind: string;
  readonly resourceKind: string;
  readonly fields: Shape;
  readonly check?: (fields: Fields, context: z.RefinementCtx) => void;
}): ConfigEntryKind<Fields> {
  const { kind, resourceKind, fields } = definition;
  const check = (input: unknown, context: z.RefinementCtx) =>
    definition.check?.(input as Fields, context);
  const flat = z.strictObject({ ...headOf(kind), ...fields }).superRefine(check);
  const nested = resourceSchema(z.strictObject(fields).superRefine(check));
  const topicOf = (namespace: string, name: string) => `${kind} ${namespace}/${name}`;
  const read = ({ content, key, createdMs }: KnownResource): ConfigEntry<Fields> | null => {
    const asResource = nested.safeParse(content);
    if (asResource.success) {
      return entryOf<Fields>(asResource.data, resourceKind, { key, createdMs, source: "" });
    }
    const asEntry = flat.safeParse(respellEntry(content).content);
    if (!asEntry.success) return null;
    return entryOf<Fields>(asEntry.data, kind, { key, createdMs, source: "" });
  };
  return {
    ...{ kind, resourceKind, flat, nested, topicOf, read },
    find(context, namespace, name) {
      const [oldest] = context.about(topicOf(namespace, name));
      return oldest === undefined ? null : read(oldest);
    },
  };
}

/** From what one of the two schemas read. */
function entryOf<Fields>(parsed: unknown, kind: string, origin: Origin): ConfigEntry<Fields> {
  const { metadata, spec } = parsed as { metadata?: Named; spec?: Fields };
  const { name, namespace = DEFAULT_NAMESPACE } = metadata ?? (parsed as Named);
  return {
    ...{ ...origin, name, namespace, source: `${kind} ${namespace}/${name}` },
    fields: metadata === undefined ? (parsed as Fields) : (spec as Fields),
    at: metadata === undefined ? [] : ["spec"],
  };
}

interface Meaning<Fields> {
  readonly notes: readonly string[];
  /** Topics besides its own that it speaks of. */
  provides?(entry: ConfigEntry<Fields>): readonly string[];
  records(work: Work<unknown>, entry: ConfigEntry<Fields>): readonly TranslatedValue[];
}

/** The translators of both forms of a kind. */
export function configEntryTranslators<Fields>(
  entryKind: ConfigEntryKind<Fields>,
  meaning: Meaning<Fields>,
): readonly [Translator, Translator] {
  const { kind, resourceKind, flat, nested, topicOf } = entryKind;
  const notes = [...meaning.notes, ONE_COUNTS];
  const form = (isFlat: boolean) => {
    const own = isFlat ? kind : resourceKind;
    return defineTranslator<unknown>({
      dialect: "Consul",
      group: isFlat ? ENTRY_GROUP : RESOURCE_GROUP,
      kind: own,
      notes: isFlat ? [...notes, SPELLINGS] : notes,
      forms: [
        isFlat ? { versions: ["v1"], schema: flat } : { versions: ["v1alpha1"], schema: nested },
      ],
      ...(isFlat ? { respell: respellEntry } : {}),
      provides(resource) {
        const entry = entryOf<Fields>(resource, own, { key: "", source: "", createdMs: 0 });
        return [topicOf(entry.namespace, entry.name), ...(meaning.provides?.(entry) ?? [])];
      },
      records(work) {
        const { key, source, context } = work;
        const origin = { key, source, createdMs: context.createdMs };
        const entry = entryOf<Fields>(work.resource, own, origin);
        const [oldest] = context.about(topicOf(entry.namespace, entry.name));
        if (oldest === undefined || oldest.key === key) return meaning.records(work, entry);
        const message = `no effect: ${oldest.key} is older and is for the same service`;
        work.warn(isFlat ? ["name"] : ["metadata", "name"], message);
        return [];
      },
    });
  };
  return [form(true), form(false)];
}

function headOf(kind: string) {
  return {
    kind: honoured(z.literal(kind)),
    name: honoured(serviceName),
    namespace: differently(
      z.union([unset, namespaceName]),
      `default: \`${DEFAULT_NAMESPACE}\``,
    ).optional(),
    partition: partitionField,
    meta: honoured(z.record(z.string(), z.string()), "kept, and shown").optional(),
    createIndex: setByConsul(z.number()),
    modifyIndex: setByConsul(z.number()),
    hash: setByConsul(z.unknown()),
  };
}
