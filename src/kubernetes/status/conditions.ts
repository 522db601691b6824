import { isRecord } from "../api/objects.ts";

/** Who we are in lists of status entries that several controllers share. */
export const CONTROLLER_NAME = "hostmesh.io/mesh";

/** etcd and people take more, but nobody reads it. Characters. */
const MESSAGE_LENGTH = 1_024;

/** A condition (meta/v1 Condition) without the time since which it holds. */
export interface WantedCondition {
  readonly type: string;
  readonly status: "True" | "False";
  /** In CamelCase. */
  readonly reason: string;
  readonly message: string;
  /** Of the specification that was judged. */
  readonly observedGeneration: number;
}

export interface Condition extends WantedCondition {
  /** When `status` last changed, RFC 3339 with whole seconds. */
  readonly lastTransitionTime: string;
}

type Fields = Readonly<Record<string, unknown>>;

/** Kubernetes' Time. */
export function timeText(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
}

/** What was there of a type keeps its time as long as its status is the same. */
export function conditionsSince(
  present: unknown,
  wanted: readonly WantedCondition[],
  now: string,
): readonly Condition[] {
  const before = listOf(present);
  return wanted.map((one) => {
    const known = before.find(({ type }) => type === one.type);
    const since = known?.["status"] === one.status ? known["lastTransitionTime"] : undefined;
    return { ...one, lastTransitionTime: typeof since === "string" ? since : now };
  });
}

/** `a; b; and 3 more`, cut where it would be too long. */
export function messageOf(parts: readonly string[]): string {
  let text = "";
  for (const [index, part] of parts.entries()) {
    const more = text === "" ? part : `${text}; ${part}`;
    const rest = parts.length - index;
    if (text !== "" && more.length > MESSAGE_LENGTH - 20) return `${text}; and ${rest} more`;
    text = more;
  }
  return text.length <= MESSAGE_LENGTH ? text : `${text.slice(0, MESSAGE_LENGTH - 1)}…`;
}

/** The objects in a list; nothing of what is none. */
export function listOf(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

/** A field that should be a text. */
export function textOf(value: unknown, fallback: string): string {
  return typeof value === "string" ? value : fallback;
}
