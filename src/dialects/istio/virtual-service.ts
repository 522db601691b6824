import * as z from "zod";
import { ROUTE_RANKS, type RouteRule, type RouteTable } from "../../core/traffic.ts";
import { resourceSchema } from "../envelope.ts";
import { AnnotationError, parseRateLimit, RATE_LIMIT } from "../hostmesh/own-annotations.ts";
import { differently, honoured, refused } from "../support.ts";
import {
  defineTranslator,
  type TranslatedValue,
  type TranslationContext,
  TranslationError,
  type Work,
} from "../translator.ts";
import { textField } from "../value-fields.ts";
import { mergeRoute } from "./delegate.ts";
import type { Destination } from "./destination.ts";
import { exportedTo, exportToField } from "./export-to.ts";
import { hostField, serviceRefOf, warnOfHalfName } from "./host.ts";
import { isForMesh } from "./http-match.ts";
import { type HttpRoute, httpRouteField } from "./http-route.ts";
import { toHttpRule } from "./http-rule.ts";
import { tcpRouteField, toTcpRule } from "./tcp-route.ts";

const MAX_ROUTES = 512;
const MAX_HOSTS = 256;
/** Of all rules, those of delegates included: each of them may be joined to many routes. */
const MAX_MATCHES = 8_192;

const specField = z.strictObject({
  hosts: honoured(
    z.array(hostField).max(MAX_HOSTS),
    "`reviews`: of the resource's namespace; `reviews.prod.svc.cluster.local`: of `prod`; others as host names, also with `*.` before; none: a delegate",
  ).default([]),
  gateways: differently(
    z.array(textField).max(64),
    "only `mesh` (default): there are no gateways; without `mesh` the resource has no effect, with a warning",
  ).optional(),
  exportTo: exportToField,
  http: z.array(httpRouteField).max(MAX_ROUTES).optional(),
  tcp: z.array(tcpRouteField).max(MAX_ROUTES).optional(),
  tls: refused(
    "TLS is carried as it is, without a look at its server name: route it by port and address, in tcp",
  ),
});
const schema = resourceSchema(specField);
type Resource = z.infer<typeof schema>;

const topicOf = (namespace: string, name: string) => `VirtualService ${namespace}/${name}`;

/** Istio's VirtualService. */
export const virtualService = defineTranslator<Resource>({
  dialect: "Istio",
  group: "networking.istio.io",
  kind: "VirtualService",
  notes: [
    "The first route that matches counts; where none does, HTTP gets 404 and TCP goes to the service. Of several resources for a host the oldest counts.",
    "Without `retries`: two, for `connect-failure,refused-stream,reset-before-request`, the defaults of Istio's client and server side together. Without `timeout`: none.",
    "A delegate (no `hosts`) is joined to the routes that name it; a route of it whose match is part of none of theirs is left out, with a warning.",
    "Paths are normalised, and matched without their query.",
    "The annotation `hostmesh.io/rate-limit` is a limit for all its HTTP routes together.",
  ],
  forms: [{ versions: ["v1", "v1beta1", "v1alpha3"], schema }],
  provides: ({ metadata, spec }) =>
    spec.hosts.length === 0 ? [topicOf(metadata.namespace, metadata.name)] : [],
  records(work) {
    const { spec } = work.resource;
    if ((spec.http ?? []).length + (spec.tcp ?? []).length === 0) {
      work.refuse(["spec"], "must have routes: http or tcp");
    }
    if (spec.hosts.length === 0) {
      checkDelegate(work);
      return [];
    }
    if (!isForMesh(spec.gateways, work, ["spec", "gateways"])) {
      work.warn(["spec", "gateways"], "the resource has no effect: mesh is not among them");
      return [];
    }
    for (const [index, host] of spec.hosts.entries()) {
      if (host === "*") {
        work.refuse(["spec", "hosts", index], "* is not taken inside the mesh: name the services");
      }
      warnOfHalfName(work, ["spec", "hosts", index], host);
    }
    return tablesOf(work);
  },
});

function tablesOf(work: Work<Resource>): TranslatedValue[] {
  const { spec } = work.resource;
  const { namespace } = work.name;
  const base = {
    source: work.source,
    createdMs: work.context.createdMs,
    role: "route" as const,
    services: [...new Set(spec.hosts.map((host) => serviceRefOf(host, namespace)))],
    clients: exportedTo(spec.exportTo, namespace),
    rank: ROUTE_RANKS.istio,
    order: "listed" as const,
  };
  const limits = rateLimitsOf(work);
  const http = httpRules(work).map((rule) => ({ ...rule, ...limits }));
  const tcp = (spec.tcp ?? []).flatMap((route, index) => {
    const path = ["spec", "tcp", index];
    return toTcpRule(route, { work, path, namespace }) ?? [];
  });
  const tables: RouteTable[] = [
    { ...base, protocol: "http", otherwise: "refuse", rules: http },
    { ...base, protocol: "tcp", otherwise: "service", rules: tcp },
  ];
  return tables
    .filter(({ rules }) => rules.length > 0)
    .map((value) => ({ kind: "route" as const, value }));
}

/** Of all its routes together. */
function rateLimitsOf(work: Work<Resource>): Pick<RouteRule, "rateLimits"> {
  const text = work.resource.metadata.annotations[RATE_LIMIT];
  if (text === undefined) return {};
  try {
    return { rateLimits: [parseRateLimit(text.trim(), `annotation ${work.key}`)] };
  } catch (error) {
    if (!(error instanceof AnnotationError)) throw error;
    return work.refuse(["metadata", "annotations", RATE_LIMIT], error.message);
  }
}

function httpRules(work: Work<Resource>): RouteRule[] {
  const { namespace } = work.name;
  const delegates = new Delegates(work.context);
  let shadow = -1;
  let size = 0;
  return (work.resource.spec.http ?? []).flatMap((route, index) => {
    const path = ["spec", "http", index];
    if (shadow !== -1) work.warn(path, `never reached: spec.http[${shadow}] matches everything`);
    const rules =
      route.delegate === undefined
        ? [toHttpRule(route, { work, path, namespace }) ?? []].flat()
        : delegatedRules(work, route, path, { delegates, room: MAX_MATCHES - size });
    size += rules.reduce((sum, { matches }) => sum + Math.max(1, matches.length), 0);
    if (shadow === -1 && rules.some(({ matches }) => matches.length === 0)) shadow = index;
    return rules;
  });
}

/** The routes of a delegate in place of the one that names it. */
function delegatedRules(
  work: Work<Resource>,
  route: HttpRoute,
  path: readonly PropertyKey[],
  { delegates, room }: { readonly delegates: Delegates; readonly room: number },
): RouteRule[] {
  if ((route.route ?? []).length > 0 || route.redirect || route.directResponse) {
    work.refuse([...path, "delegate"], "stands alone: without route, redirect and directResponse");
  }
  const place = [...path, "delegate"];
  const { name = "", namespace = work.name.namespace } = route.delegate ?? {};
  const found = delegates.find(namespace, name);
  const known = exportedTo(found?.exportTo, namespace)?.includes(work.name.namespace) ?? true;
  if (found === null || !known) {
    const reason = found === null ? "is not there" : "is not exported to this namespace";
    work.warn(place, `left out: the delegate ${namespace}/${name} ${reason}`);
    return [];
  }
  const root = withFullHosts(route, work.name.namespace);
  let left = room;
  return (found.http ?? []).flatMap((leaf, index) => {
    const nth = `http[${index}] of the delegate ${namespace}/${name}`;
    left -= Math.max(1, root.match?.length ?? 0) * Math.max(1, leaf.match?.length ?? 0);
    if (left < 0) {
      work.warn(place, `left out: ${nth}: at most ${MAX_MATCHES} matches are taken`);
      return [];
    }
    const merged = mergeRoute(root, withFullHosts(leaf, namespace));
    if (merged === null) {
      work.warn(place, `left out: ${nth} matches more than this route does`);
      return [];
    }
    return ruleOfDelegate(work, merged, place, nth);
  });
}

/** A route that only together with the root's makes no sense is no reason to refuse the root. */
function ruleOfDelegate(
  work: Work<Resource>,
  merged: HttpRoute,
  place: readonly PropertyKey[],
  nth: string,
): RouteRule[] {
  const quiet: Work<Resource> = {
    ...work,
    warn: (_, message) => work.warn(place, `${nth}: ${message}`),
  };
  try {
    const { namespace } = work.name;
    return [toHttpRule(merged, { work: quiet, path: place, namespace }) ?? []].flat();
  } catch (error) {
    if (!(error instanceof TranslationError)) throw error;
    work.warn(place, `left out: ${nth}: ${error.message}`);
    return [];
  }
}

/** The delegates of one resource: each is read once, however many routes name it. */
class Delegates {
  readonly #context: TranslationContext;
  readonly #read = new Map<string, Resource["spec"] | null>();

  constructor(context: TranslationContext) {
    this.#context = context;
  }

  /** Null: it is not there. */
  find(namespace: string, name: string): Resource["spec"] | null {
    const topic = topicOf(namespace, name);
    const known = this.#read.get(topic);
    if (known !== undefined) return known;
    const [found] = this.#context.about(topic);
    const parsed = schema.safeParse(found?.content);
    const spec = parsed.success ? parsed.data.spec : null;
    this.#read.set(topic, spec);
    return spec;
  }
}

/** With short names written out, so that they mean the same in another namespace. */
function withFullHosts(route: HttpRoute, namespace: string): HttpRoute {
  const full = (destination: Destination): Destination => {
    const isShort = !/[.:]/.test(destination.host);
    const host = `${destination.host}.${namespace}.svc.cluster.local`;
    return isShort ? { ...destination, host } : destination;
  };
  const { route: destinations, mirror, mirrors } = route;
  return {
    ...route,
    ...(destinations && {
      route: destinations.map((each) => ({ ...each, destination: full(each.destination) })),
    }),
    ...(mirror && { mirror: full(mirror) }),
    ...(mirrors && {
      mirrors: mirrors.map((each) => ({ ...each, destination: full(each.destination) })),
    }),
  };
}

/** Of a delegate no records are made, but what is wrong with it is told where it stands. */
function checkDelegate(work: Work<Resource>): void {
  const { spec, metadata } = work.resource;
  const { namespace } = metadata;
  if (spec.gateways !== undefined) {
    work.refuse(["spec", "gateways"], "without hosts it is a delegate, which has no gateways");
  }
  if (spec.tcp !== undefined) {
    work.refuse(["spec", "tcp"], "without hosts it is a delegate, which has routes of HTTP only");
  }
  for (const [index, route] of (spec.http ?? []).entries()) {
    const path = ["spec", "http", index];
    if (route.delegate !== undefined) {
      work.refuse([...path, "delegate"], "a delegate has no delegates of its own");
    }
    toHttpRule(route, { work, path, namespace });
  }
}
