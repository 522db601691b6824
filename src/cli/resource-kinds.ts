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
  ServiceIntentions: "si",
};

export interface ResourceKind {
  readonly group: string;
  readonly kind: string;
}

/** The kind that a user means: any case, singular, plural or short. Throws with all kinds that there are. */
export function resourceKind(text: string): ResourceKind {
  const wanted = text.toLowerCase();
  const found = translators.find(({ kind }) => {
    const name = kind.toLowerCase();
    return [name, `${name}s`, name.replace(/y$/, "ies"), SHORT[kind]].includes(wanted);
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
