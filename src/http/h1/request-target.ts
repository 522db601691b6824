import { parseHostPort } from "../../core/address.ts";
import type { RequestHead } from "../message.ts";
import { malformed, quoted } from "./malformed.ts";

/** Printable ASCII but `#`, `%`, `?` and the backslash. */
const PATH_CHAR = '[!"$&->@-[\\]-~]';

/**
 * Origin-form. RFC 3986 leaves out some printable characters in paths, but clients send them raw and origin
 * servers take them; only the backslash, which some servers read as a slash, is refused. Percent signs of
 * the path must begin an escape other than %00, as nginx demands; the query is the application's business.
 * No two parts can match the same character, so matching takes linear time.
 */
const ORIGIN = new RegExp(
  `^/${PATH_CHAR}*(?:%(?!00)[0-9A-Fa-f]{2}${PATH_CHAR}*)*(?:\\?[!"$-~]*)?$`,
);

const ABSOLUTE = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?]*)(.*)$/;

/** A registered name or an IPv4 address, and the port if there is one. No leading zeros: some read octal. */
const NAME_PORT = /^[A-Za-z0-9._~-]+(?::[1-9][0-9]{0,4})?$/;

const LONGEST_PORT = 5;

/**
 * Is this `uri-host [":" port]` (RFC 9110 section 7.2)? Names are held to unreserved characters: nothing
 * else names a host on any network, and the rest of RFC 3986 (escapes, commas, user info) is ambiguous.
 */
export function isAuthority(value: string): boolean {
  if (value.startsWith("[")) return parseHostPort(value, 80) !== null;
  if (!NAME_PORT.test(value)) return false;
  const colon = value.length - LONGEST_PORT - 1;
  return colon < 1 || value.charCodeAt(colon) !== 0x3a || Number(value.slice(colon + 1)) <= 65_535;
}

/**
 * Finds the form of the request target (RFC 9112 section 3.2) and sets `form`, `path`, `scheme` and, where
 * the target has one, `authority`. Throws `BAD_REQUEST`.
 */
export function applyTarget(head: RequestHead): void {
  const { method, target } = head;
  if (method === "CONNECT") {
    if (!isAuthority(target) || !/:[0-9]+$/.test(target)) {
      throw malformed("request", `CONNECT needs host:port, not ${quoted(target)}`);
    }
    head.form = "authority";
    head.path = target;
    head.authority = target;
  } else if (target.charCodeAt(0) === 0x2f) {
    head.path = origin(target);
  } else if (target === "*") {
    if (method !== "OPTIONS") {
      throw malformed("request", `the target * is for OPTIONS, not for ${quoted(method)}`);
    }
    head.form = "asterisk";
    head.path = target;
  } else {
    applyAbsolute(head);
  }
}

function applyAbsolute(head: RequestHead): void {
  const [, scheme = "", authority = "", rest = ""] = ABSOLUTE.exec(head.target) ?? [];
  const lower = scheme.toLowerCase();
  if (lower !== "http" && lower !== "https") {
    throw malformed(
      "request",
      `the request target ${quoted(head.target)} is neither path nor http`,
    );
  }
  if (!isAuthority(authority)) {
    throw malformed("request", `the authority ${quoted(authority)} of the request target`);
  }
  head.form = "absolute";
  head.scheme = lower;
  head.authority = authority;
  if (rest !== "") head.path = origin(rest.startsWith("/") ? rest : `/${rest}`);
  // RFC 9112 section 3.2.4: OPTIONS of a URI without a path asks the server itself.
  else head.path = head.method === "OPTIONS" ? "*" : "/";
}

function origin(path: string): string {
  if (path !== "/" && !ORIGIN.test(path)) {
    throw malformed("request", `invalid characters in the request target ${quoted(path)}`);
  }
  return path;
}
