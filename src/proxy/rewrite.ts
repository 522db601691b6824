import { formatHostPort } from "../core/address.ts";
import { MeshError } from "../core/errors.ts";
import { requestHeadLines, responseHeadText } from "../http/h1/serializer.ts";
import type { RequestHead, ResponseHead } from "../http/message.ts";
import type { TokenEffects } from "./admission.ts";
import type { Origin } from "./context.ts";
import { normalizePath, type PathSettings } from "./routing/authorize/path.ts";
import { withoutCookies, withoutParams } from "./routing/authorize/strip-places.ts";
import type { TokenPlace } from "./routing/authorize/token-result.ts";

/** Our name in Via, behind the version by which the message came to us (RFC 9110 section 7.6.3). */
function viaOf(version: 1 | 2, minor: 0 | 1): string {
  if (version === 2) return "2.0 hostmesh";
  return minor === 0 ? "1.0 hostmesh" : "1.1 hostmesh";
}

/** More proxies on one path than anyone has: a loop over several hosts. */
const MAX_HOPS = 20;

/** Does Via say that the request has been going round? */
export function goesRound(head: RequestHead): boolean {
  return head.via !== "" && head.via.split("hostmesh").length > MAX_HOPS;
}

/** The hop by which a connection's requests come. */
export interface Hop {
  /** Major version of HTTP. */
  readonly version: 1 | 2;
  /** Via and X-Forwarded-* of a request that no proxy has seen before, but for those of HTTP/1.0. */
  readonly firstLines: string;
}

export function hopOf(origin: Origin, version: 1 | 2): Hop {
  const via = viaOf(version, 1);
  const firstLines = `X-Forwarded-For: ${origin.address}\r\nX-Forwarded-Proto: http\r\nVia: ${via}\r\n`;
  return { version, firstLines };
}

/** Puts the path into its normal form, which is matched and sent on. Throws `BAD_REQUEST` where it may not have any. */
export function normalize(head: RequestHead, settings: PathSettings): void {
  const path = normalizePath(head.path, settings);
  if (path === head.path) return;
  if (path === null) throw new MeshError("BAD_REQUEST", "the path is ambiguous");
  head.path = path;
  head.forwarded = "";
}

/**
 * The head for the endpoint. `hop` is made by the function above, `ids` by `contextLines`; it may have further lines behind
 * it. `effects`: what a token changes.
 */
export function upstreamHead(
  head: RequestHead,
  origin: Origin,
  ids: string,
  hop: Hop,
  effects: TokenEffects | null = null,
): string {
  if (effects !== null) {
    const lines = effects.add.join("");
    return `${withoutPlaces(head, origin, effects.strip)}${hopLines(head, origin, hop)}${ids}${lines}\r\n`;
  }
  if (head.forwarded !== "") return `${head.forwarded}${ids}\r\n`;
  const text = clientLines(head, origin) + hopLines(head, origin, hop);
  if (head.repeats) head.forwarded = flat(text);
  return `${text}${ids}\r\n`;
}

function clientLines(head: RequestHead, origin: Origin): string {
  const { destination } = origin;
  const host = destination === null ? "" : formatHostPort(destination.host, destination.port);
  return requestHeadLines(head, { host, upgrade: head.upgrade !== "" });
}

function hopLines(head: RequestHead, origin: Origin, hop: Hop): string {
  const { via, forwardedFor, forwardedProto, minor } = head;
  const isFirst = via === "" && forwardedFor === "" && forwardedProto === "" && minor === 1;
  return isFirst ? hop.firstLines : laterHopLines(head, origin, viaOf(hop.version, minor));
}

/** The client's lines without the places where a token was, and without headers that only a token may fill. */
function withoutPlaces(head: RequestHead, origin: Origin, places: readonly TokenPlace[]): string {
  const lines = clientLines(head, origin);
  const named = (kind: TokenPlace["kind"]) =>
    places.filter((place) => place.kind === kind).map(({ name }) => name);
  const cookies = named("cookie");
  const headers = named("header").map(dashed);
  const path = withoutParams(head.path, named("param"));
  let kept = `${head.method} ${path} HTTP/1.1\r\n`;
  for (const line of lines
    .slice(lines.indexOf("\n") + 1)
    .split("\r\n")
    .slice(0, -1)) {
    const colon = line.indexOf(":");
    const name = dashed(line.slice(0, colon).toLowerCase());
    if (headers.includes(name)) continue;
    const value = name === "cookie" ? withoutCookies(line.slice(colon + 1).trim(), cookies) : null;
    if (value === null) kept += `${line}\r\n`;
    else if (value !== "") kept += `${line.slice(0, colon)}: ${value}\r\n`;
  }
  return kept;
}

/** Applications that make variables of names (CGI) cannot tell the two spellings apart. */
function dashed(name: string): string {
  return name.replaceAll("_", "-");
}

/** The same text in one piece: V8 keeps a joined string as a tree, and walks it at each write. */
function flat(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}

function laterHopLines(head: RequestHead, origin: Origin, own: string): string {
  const via = head.via === "" ? own : `${head.via}, ${own}`;
  // From another host its daemon has added the client already; both daemons are hops for Via.
  const isAdded = origin.peer !== null && head.forwardedFor !== "";
  const added =
    head.forwardedFor === "" ? origin.address : `${head.forwardedFor}, ${origin.address}`;
  const forwardedFor = isAdded ? head.forwardedFor : added;
  const proto = head.forwardedProto === "" ? "http" : head.forwardedProto;
  return `X-Forwarded-For: ${forwardedFor}\r\nX-Forwarded-Proto: ${proto}\r\nVia: ${via}\r\n`;
}

/**
 * The head for the client. `keepAlive`: may its connection go on after this response? `version`: major version of HTTP by
 * which it came.
 */
export function downstreamHead(
  head: ResponseHead,
  request: RequestHead,
  keepAlive: boolean,
  version: 1 | 2,
): string {
  const usual = keepAlive && request.minor === 1;
  if (usual && head.forwarded !== "") return head.forwarded;
  const own = viaOf(version, head.minor);
  const via = head.via === "" ? own : `${head.via}, ${own}`;
  const decoded = head.framing === "chunked" && request.minor === 0;
  const text = responseHeadText(head, `Via: ${via}\r\n`, {
    keepAlive,
    minor: request.minor,
    framing: decoded ? "eof" : head.framing,
    upgrade: head.status === 101,
  });
  if (usual && head.repeats) head.forwarded = flat(text);
  return text;
}
