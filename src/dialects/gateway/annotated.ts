import type { RouteRule } from "../../core/traffic.ts";
import { settingsOfAnnotations } from "../linkerd/service-annotations.ts";
import type { Work } from "../translator.ts";

export type Annotated = Pick<RouteRule, "timeouts" | "retry" | "rateLimits">;

interface Routed {
  readonly metadata: { readonly annotations: Readonly<Record<string, string>> };
}

/** What the annotations of a route say for each of its rules. */
export function annotatedBy(work: Work<Routed>): Annotated {
  const warn = (name: string, message: string) =>
    work.warn(["metadata", "annotations", name], message);
  const { metadata } = work.resource;
  const { settings } = settingsOfAnnotations(metadata.annotations, warn, work.key);
  const { timeouts, retry, rateLimits, ...others } = settings;
  if (Object.keys(others).length > 0) {
    const message = "circuit breaking and the like have no effect of a route: annotate the Service";
    work.warn(["metadata", "annotations"], message);
  }
  return {
    ...(timeouts === undefined ? {} : { timeouts }),
    ...(retry === undefined ? {} : { retry }),
    ...(rateLimits === undefined ? {} : { rateLimits }),
  };
}

/** The rule with what the annotations of its route say, which wins; of timeouts each by itself. */
export function withAnnotated(rule: RouteRule, annotated: Annotated): RouteRule {
  const timeouts = { ...rule.timeouts, ...annotated.timeouts };
  return {
    ...rule,
    ...annotated,
    ...(Object.keys(timeouts).length === 0 ? {} : { timeouts }),
  };
}
