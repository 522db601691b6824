import type { HeadFields } from "../../core/exchange-details.ts";
import type { RequestFacts } from "../../core/facts.ts";

type ReadField = (facts: Readonly<RequestFacts>) => string | number | null;

/** What Envoy's REQ shows of a request's parts that are no fields, and of those that the proxy itself has set. */
const REQUEST_PARTS: Readonly<Record<string, (facts: Readonly<RequestFacts>) => string>> = {
  ":method": ({ method }) => method,
  ":path": ({ target }) => originForm(target),
  ":authority": ({ authority }) => authority,
  ":scheme": ({ protocol }) => (protocol === "http" ? "http" : ""),
  "x-request-id": ({ requestId }) => requestId,
  traceparent: ({ traceparent }) => traceparent,
};

/** The value of Envoy's `REQ(NAME?OTHER)`: of the other one where the first is not there. */
export function requestField(argument: string): ReadField {
  return firstOf(argument, (name) => {
    const part = REQUEST_PARTS[name];
    if (part !== undefined) return (facts) => part(facts) || null;
    // Envoy's router keeps the path there before a route rewrites it; `:path` is that one here.
    if (name === "x-envoy-original-path") return ({ target }) => originForm(target) || null;
    return ({ details }) => fieldIn(details?.request ?? null, name);
  });
}

/** Of `RESP(NAME?OTHER)`. The time that the endpoint took is no field of a response here: it is measured. */
export function responseField(argument: string): ReadField {
  return firstOf(argument, (name) => {
    if (name === "x-envoy-upstream-service-time") return serviceTime;
    if (name === ":status") return ({ status }) => status || null;
    return ({ details }) => fieldIn(details?.response ?? null, name);
  });
}

function serviceTime({ upstreamMs, upstreamVersion }: Readonly<RequestFacts>): number | null {
  return upstreamVersion === 0 ? null : Math.round(upstreamMs);
}

/** Of `TRAILER(NAME?OTHER)`. */
export function trailerField(argument: string): ReadField {
  return firstOf(argument, (name) => {
    if (name === "grpc-status") {
      return ({ grpcStatus }) => (grpcStatus === -1 ? null : grpcStatus);
    }
    return ({ details }) => lineIn(details?.trailers ?? "", name);
  });
}

function firstOf(argument: string, make: (lowerCaseName: string) => ReadField): ReadField {
  const [name = "", other] = argument.toLowerCase().split("?");
  const first = make(name);
  if (other === undefined) return first;
  const second = make(other);
  return (facts) => first(facts) ?? second(facts);
}

/** The path of a target, with its query: what a proxy is asked for has a scheme and an authority before it. */
export function originForm(target: string): string {
  if (target.startsWith("/") || !target.includes("://")) return target;
  const path = target.indexOf("/", target.indexOf("://") + 3);
  return path === -1 ? "/" : target.slice(path);
}

/** All values of a field, which is given in lower case; null: there is none. */
function fieldIn(head: HeadFields | null, lowerCaseName: string): string | null {
  const fields = head?.fields ?? [];
  let found: string | null = null;
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = fields[at] ?? "";
    if (name.length !== lowerCaseName.length || name.toLowerCase() !== lowerCaseName) continue;
    found = found === null ? (fields[at + 1] ?? "") : `${found},${fields[at + 1]}`;
  }
  return found;
}

function lineIn(lines: string, lowerCaseName: string): string | null {
  for (const line of lines.split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon === lowerCaseName.length && line.slice(0, colon).toLowerCase() === lowerCaseName) {
      return line.slice(colon + 1).trim();
    }
  }
  return null;
}
