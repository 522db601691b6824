import * as z from "zod";
import { namespaceName } from "../envelope.ts";
import { honoured } from "../support.ts";

const entry = z.union([z.literal([".", "*", "~"]), namespaceName], {
  error: "must be a namespace, `.` (the resource's own), `*` (all) or `~` (none)",
});

export const exportToField = honoured(
  z.array(entry).max(256),
  "namespaces of the callers; `.`: the own one, `*`: all (default), `~`: none",
).optional();

/** Namespaces to which a resource is exported; null: all. */
export function exportedTo(
  exportTo: readonly string[] | undefined,
  namespace: string,
): readonly string[] | null {
  if (exportTo === undefined || exportTo.length === 0 || exportTo.includes("*")) return null;
  const named = exportTo.filter((each) => each !== "~");
  return [...new Set(named.map((each) => (each === "." ? namespace : each)))];
}
