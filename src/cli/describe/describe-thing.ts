import { CliError, EXIT } from "../cli-error.ts";
import { isNamed } from "../sight/names.ts";
import { describeHost } from "./describe-host.ts";
import { describeService } from "./describe-service.ts";
import { describeWorkload } from "./describe-workload.ts";
import type { Description } from "./description.ts";
import type { MeshFacts } from "./mesh-facts.ts";

type Kind = Description["kind"];

/** What may stand before a slash to say which kind is meant. */
const PREFIXES: Readonly<Record<string, Kind>> = {
  svc: "service",
  service: "service",
  wl: "workload",
  workload: "workload",
  pod: "workload",
  po: "workload",
  host: "host",
  node: "host",
};

interface Thing {
  readonly kind: Kind;
  readonly name: string;
}

/** Describes what a name means: a service, else a workload, else a host. Throws a CliError where it means nothing. */
export function describeThing(facts: MeshFacts, text: string, namespace?: string): Description {
  const { kind, name } = meant(facts, text, namespace);
  if (kind === "service") return describeService(facts, name);
  if (kind === "host") return describeHost(facts, name);
  const workload = facts.workloads.find((one) => `${one.namespace}/${one.name}` === name);
  if (workload === undefined) throw new CliError(`there is no workload ${name}`);
  return describeWorkload(facts, workload);
}

function meant(facts: MeshFacts, text: string, namespace: string | undefined): Thing {
  const slash = text.indexOf("/");
  const kind = slash === -1 ? undefined : PREFIXES[text.slice(0, slash)];
  const wanted = kind === undefined ? text : text.slice(slash + 1);
  const things = thingsOf(facts).filter((each) => kind === undefined || each.kind === kind);
  const fitting = things.filter(({ kind: is, name }) =>
    is === "host" ? name === wanted : isNamed(name, wanted, namespace),
  );
  // The prefix of a kind may also be a namespace.
  const whole = thingsOf(facts).filter(({ kind: is, name }) => is !== "host" && name === text);
  const [first] = [...fitting, ...whole];
  if (first !== undefined) return first;
  const similar = things.filter(({ name }) => name.includes(wanted)).slice(0, 10);
  throw new CliError(`the mesh knows nothing that is called ${text}`, {
    remedy:
      similar.length === 0
        ? "hostmesh service list and hostmesh proxy-status list what there is; svc/, workload/ and host/ say what is meant"
        : `it knows ${similar.map(({ kind: is, name }) => `${is}/${name}`).join(", ")}`,
    exitCode: EXIT.failure,
  });
}

/** Services first: what is described most. */
function thingsOf({ services, workloads, report, understood, endpoints }: MeshFacts): Thing[] {
  const { world } = understood;
  const routed = world.tables.flatMap(({ value }) =>
    value.services.filter((ref) => !ref.startsWith("host:")),
  );
  const keys = [...services.map(({ namespace, name }) => `${namespace}/${name}`), ...routed];
  const hosts = [
    ...(report?.hosts.map(({ host }) => host) ?? []),
    ...workloads.map(({ host }) => host),
    ...endpoints.map(({ host }) => host),
  ];
  return [
    ...[...new Set(keys)].map((name) => ({ kind: "service" as const, name })),
    ...workloads.map((one) => ({
      kind: "workload" as const,
      name: `${one.namespace}/${one.name}`,
    })),
    ...[...new Set(hosts)].map((name) => ({ kind: "host" as const, name })),
  ];
}
