import type { Backend, MirrorRule, RouteAction, RouteRule } from "../../core/traffic.ts";
import type { Work } from "../translator.ts";
import { toCorsRule } from "./cors-policy.ts";
import { checkWeights, refOf, warnOfDestination } from "./destination.ts";
import { toFaultRule } from "./fault.ts";
import { toOperations } from "./header-operations.ts";
import { toRouteMatches } from "./http-match.ts";
import type { HttpRoute } from "./http-route.ts";
import { present } from "./present.ts";
import { toRedirect, toRewrite } from "./redirect.ts";
import { toRetryRule } from "./retries.ts";

/** Where a route stands. */
export interface Place {
  readonly work: Work<unknown>;
  readonly path: readonly PropertyKey[];
  /** Short names of hosts are of this. */
  readonly namespace: string;
}

/** Without weights the only destination gets everything. */
const ONLY_WEIGHT = 100;
const NOTHING_FORWARDED = "no effect: nothing is forwarded";

/** One rule of the model; null: none of its matches is for the mesh. */
export function toHttpRule(route: HttpRoute, place: Place): RouteRule | null {
  const { work, path } = place;
  const action = toAction(route, place);
  const matches = toRouteMatches(route.match, work, path);
  if (matches === null) {
    work.warn(path, "left out: none of its matches is for mesh");
    return null;
  }
  const headers = toOperations(route.headers);
  const shared = {
    name: route.name ?? "",
    matches,
    action,
    requestHeaders: headers.request,
    responseHeaders: headers.response,
    cors: route.corsPolicy && toCorsRule(route.corsPolicy),
    fault: route.fault && toFaultRule(route.fault, work, [...path, "fault"]),
  };
  if (action.kind !== "forward") {
    warnOfIdle(route, place);
    return present(shared);
  }
  const mirrors = toMirrors(route, place);
  return present({
    ...shared,
    rewrite: toRewrite(route.rewrite, headers.authority, work, [...path, "rewrite"]),
    timeouts: { requestMs: route.timeout ?? 0 },
    retry: toRetryRule(route.retries, work, [...path, "retries"]),
    mirrors: mirrors.length > 0 ? mirrors : undefined,
  });
}

function toAction(route: HttpRoute, { work, path, namespace }: Place): RouteAction {
  const { route: destinations = [], redirect, directResponse } = route;
  const given = [destinations.length > 0, redirect !== undefined, directResponse !== undefined];
  if (given.filter(Boolean).length !== 1) {
    work.refuse(path, "give one of route, redirect, directResponse and delegate");
  }
  if (redirect !== undefined) {
    return { kind: "redirect", redirect: toRedirect(redirect, work, [...path, "redirect"]) };
  }
  if (directResponse !== undefined) {
    const body = toBody(directResponse, work, [...path, "directResponse", "body"]);
    return { kind: "respond", status: directResponse.status, body };
  }
  const place = [...path, "route"];
  checkWeights(work, place, destinations);
  const backends = destinations.map(({ destination, weight, headers }, index): Backend => {
    warnOfDestination(work, [...place, index, "destination"], destination);
    const { request, response, authority } = toOperations(headers);
    return present({
      ...refOf(destination, namespace),
      weight: weight ?? (destinations.length === 1 ? ONLY_WEIGHT : 0),
      requestHeaders: request,
      responseHeaders: response,
      rewrite: authority === undefined ? undefined : { authority },
    });
  });
  return { kind: "forward", backends };
}

function toBody(
  { body }: NonNullable<HttpRoute["directResponse"]>,
  work: Work<unknown>,
  path: readonly PropertyKey[],
): string {
  const { string, bytes } = body ?? {};
  if (string !== undefined && bytes !== undefined) {
    work.refuse([...path, "bytes"], "give either string or bytes");
  }
  if (bytes === undefined) return string ?? "";
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(bytes, "base64"));
  } catch {
    return work.refuse([...path, "bytes"], "must be the base64 of UTF-8 text");
  }
}

function toMirrors(route: HttpRoute, { work, path, namespace }: Place): MirrorRule[] {
  const { mirror, mirrors = [], mirrorPercentage, mirrorPercent, mirror_percent } = route;
  if (mirror !== undefined && mirrors.length > 0) {
    work.refuse([...path, "mirrors"], "give either mirror or mirrors");
  }
  const percent = mirrorPercentage?.value ?? mirrorPercent ?? mirror_percent;
  if (mirror === undefined && percent !== undefined) {
    work.warn(path, "a percentage without a mirror has no effect");
  }
  const all = [
    ...(mirror === undefined ? [] : [{ destination: mirror, percent, at: ["mirror"] }]),
    ...mirrors.map(({ destination, percentage }, index) => ({
      destination,
      percent: percentage?.value,
      at: ["mirrors", index, "destination"],
    })),
  ];
  return all.flatMap(({ destination, percent: share = 100, at }) => {
    warnOfDestination(work, [...path, ...at], destination);
    return share === 0 ? [] : [{ backend: refOf(destination, namespace), percent: share }];
  });
}

/** What a route that is answered at once cannot do. */
function warnOfIdle(route: HttpRoute, { work, path }: Place): void {
  for (const field of ["rewrite", "timeout", "retries", "mirror", "mirrors"] as const) {
    if (route[field] === undefined) continue;
    work.warn([...path, field], NOTHING_FORWARDED);
  }
  if (route.headers?.request !== undefined) {
    work.warn([...path, "headers", "request"], NOTHING_FORWARDED);
  }
}
