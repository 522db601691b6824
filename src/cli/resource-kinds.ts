import { translators } from "../dialects/translators.ts";
import { CliError, EXIT } from "./cli-error.ts";

/** The short names that the projects' own tools have for their kinds. */
const SHORT: Readonly<Record<string, string>> = {
  AuthorizationPolicy: "ap",
  PeerAuthentication: "pa",
  RequestAuthentication: "ra",
  TrafficTarget: "tt",
  HTTPRouteGroup: "htr",
  TCPRoute: "tr",
  TrafficSplit: "ts",
  ServiceIntentions: "si",
  VirtualService: "vs",
  DestinationRule: "dr",
  ServiceEntry: "se",
  WorkloadEntry: "we",
  ServiceProfile: "sp",
  Service: "svc",
  Endpoints: "ep",
  Pod: "po",
  Namespace: "ns",
};

export interface ResourceKind {
  readonly group: string;
  readonly kind: string;
}

/**
 * The kind that a user means: any case, singular, plural or short, `KIND.GROUP` where several groups have one of that
 * name. Throws with all kinds that there are.
 */
export function resourceKind(text: string): ResourceKind {
  const [wanted = "", ...group] = text.toLowerCase().split(".");
  const found = translators.find((each) => {
    const name = each.kind.toLowerCase();
    const names = [name, `${name}s`, name.replace(/y$/, "ies"), SHORT[each.kind]];
    return names.includes(wanted) && (group.length === 0 || each.group === group.join("."));
  });
  if (found !== undefined) return { group: found.group, kind: found.kind };
  const known = translators.map(({ kind }) =>
    SHORT[kind] === undefined ? kind : `${kind} (${SHORT[kind]})`,
  );
  throw new CliError(`there is no kind ${text}`, {
    exitCode: EXIT.usage,
    remedy: `known: ${known.join(", ")}`,
  });
}
