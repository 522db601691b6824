import type { AppProtocol } from "../src/core/model.ts";
import type { DataTraffic } from "../src/core/snapshot.ts";
import type { ServiceRef, TrafficPolicy, TrafficSettings } from "../src/core/traffic.ts";

/** What is said of a service in passing, and to whom. */
export type BasePolicy = Pick<TrafficPolicy, "clients" | "settings" | "ports">;

/** What is declared of protocols. */
export interface SaidProtocols {
  readonly all?: AppProtocol;
  /** By port of the service. */
  readonly ports: Readonly<Record<string, AppProtocol>>;
}

type ByPort = Readonly<Record<string, TrafficSettings>>;

/** What holds for everybody of whom nothing is said. */
const NOTHING: DataTraffic = { clients: null, settings: {}, ports: {}, subsets: [] };

/**
 * Puts base policies beneath what others say, field by field; the first of them that has a field counts. Callers of whom
 * only a base policy speaks get a view of their own.
 */
export function above(
  bases: readonly BasePolicy[],
  views: readonly DataTraffic[],
): readonly DataTraffic[] {
  if (bases.length === 0) return views;
  const known = new Set(views.flatMap(({ clients }) => clients ?? []));
  const common = views.find(({ clients }) => clients === null) ?? NOTHING;
  const named = new Set(bases.flatMap(({ clients }) => clients ?? []));
  const added = [...named]
    .filter((namespace) => !known.has(namespace))
    .map((namespace) => ({ ...common, clients: [namespace] }));
  const special = views.filter(({ clients }) => clients !== null);
  return [...special, ...added, common].map((view) => raised(view, baseFor(bases, view.clients)));
}

/** What the callers of a view are told in passing: first what is for them alone. */
function baseFor(
  bases: readonly BasePolicy[],
  callers: readonly string[] | null,
): Pick<DataTraffic, "settings" | "ports"> {
  const special = bases.filter(({ clients }) =>
    clients?.some((client) => callers?.includes(client)),
  );
  const own = [...special, ...bases.filter(({ clients }) => clients === null)];
  const ports = new Set(own.flatMap((base) => Object.keys(base.ports)));
  return {
    settings: merged(own.map(({ settings }) => settings)),
    ports: Object.fromEntries(
      [...ports].map((port) => [port, merged(own.map((base) => base.ports[port] ?? {}))]),
    ),
  };
}

/** The first that has a field counts; but every limit that somebody set is kept. */
function merged(all: readonly TrafficSettings[]): TrafficSettings {
  const rateLimits = all.flatMap((settings) => settings.rateLimits ?? []);
  const fields: TrafficSettings = Object.assign({}, ...all.toReversed());
  return rateLimits.length === 0 ? fields : { ...fields, rateLimits };
}

function raised(view: DataTraffic, base: Pick<DataTraffic, "settings" | "ports">): DataTraffic {
  const over = (settings: TrafficSettings) => ({ ...base.settings, ...settings });
  const overAll = (settings: TrafficSettings, own: ByPort): ByPort => {
    const ports = new Set([...Object.keys(base.ports), ...Object.keys(own)]);
    return Object.fromEntries(
      [...ports].map((port) => [
        port,
        { ...base.settings, ...base.ports[port], ...(own[port] ?? settings) },
      ]),
    );
  };
  return {
    clients: view.clients,
    settings: over(view.settings),
    ports: overAll(view.settings, view.ports),
    subsets: view.subsets.map((subset) => ({
      ...subset,
      settings: over(subset.settings),
      ports: overAll(subset.settings, subset.ports),
    })),
  };
}

/** What policies for all callers say of protocols; the first that says something counts. */
export function protocolsOf(policies: readonly BasePolicy[]): SaidProtocols {
  const common = policies.filter(({ clients }) => clients === null);
  const all = common.find(({ settings }) => settings.protocol !== undefined)?.settings.protocol;
  const ports = common
    .toReversed()
    .flatMap((policy) =>
      Object.entries(policy.ports).flatMap(([port, { protocol }]): [string, AppProtocol][] =>
        protocol === undefined ? [] : [[port, protocol]],
      ),
    );
  return { ...(all === undefined ? {} : { all }), ports: Object.fromEntries(ports) };
}

/** The rest of a policy: what its service is compiled to says of protocols already. Null: nothing is left. */
export function withoutProtocols<T extends BasePolicy>(policy: T): T {
  const { settings, ports } = policy;
  const says = [settings, ...Object.values(ports)].some(({ protocol }) => protocol !== undefined);
  if (!says) return policy;
  const rest = ({ protocol: _, ...others }: TrafficSettings): TrafficSettings => others;
  const left = Object.entries(ports)
    .map(([port, own]): [string, TrafficSettings] => [port, rest(own)])
    .filter(
      ([port, own]) => Object.keys(own).length > 0 || Object.keys(ports[port] ?? {}).length === 0,
    );
  return { ...policy, settings: rest(settings), ports: Object.fromEntries(left) };
}

/** Does it say anything at all? */
export function saysSomething({ settings, ports }: BasePolicy): boolean {
  return Object.keys(settings).length + Object.keys(ports).length > 0;
}

/** What names the service before what it lies within, of several patterns the longest. */
export function breadthOf(ref: ServiceRef): number {
  return ref.startsWith("host:*") ? 1 / ref.length : 0;
}
