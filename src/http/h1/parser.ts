import { MeshError } from "../../core/errors.ts";
import { type B3Field, CONNECTION_UPGRADE, type KnownField } from "../headers.ts";
import type { B3Fields, FieldLimits, RequestHead, ResponseHead, TargetForm } from "../message.ts";
import { FIELD_LINES, fieldFault, TOKEN } from "./field-lines.ts";
import {
  applyContentLength,
  applyTransferEncoding,
  frameRequest,
  frameResponse,
} from "./framing.ts";
import { malformed, quoted } from "./malformed.ts";
import { joined, ParsedHead } from "./parsed-head.ts";
import { applyTarget, isAuthority } from "./request-target.ts";

/** Length of `HTTP/1.1`. */
const VERSION_LENGTH = 8;

/** One pass over the whole head settles that every line has its form; what follows only cuts at its marks. */
const REQUEST_HEAD = new RegExp(`^${TOKEN} [!"$-~]+ HTTP/1\\.[0-9]\\r\\n${FIELD_LINES}\\r\\n$`);
const RESPONSE_HEAD = new RegExp(
  `^HTTP/1\\.[0-9] [1-5][0-9]{2}(?: [\\t\\x20-\\x7e\\x80-\\xff]*)?\\r\\n${FIELD_LINES}\\r\\n$`,
);

/**
 * Parses a request head, from the request line to the empty line (RFC 9112 sections 2 to 6 and 9). Strict:
 * what two readers could understand in two ways is refused. Throws `BAD_REQUEST`, `VERSION_NOT_SUPPORTED`,
 * `NOT_IMPLEMENTED`, `EXPECTATION_FAILED` or `HEAD_TOO_LARGE`.
 *
 * `upgrade` stays empty where the request cannot be upgraded: in HTTP/1.0 (RFC 9110 section 7.8 says to
 * ignore it), with content still to come, and towards h2c, which would carry requests past the proxy: that
 * is for the proxy itself, or for nobody (`offersHttp2`). Such a request is simply an ordinary one.
 */
export function parseRequestHead(text: string, limits: FieldLimits): RequestHead {
  if (!REQUEST_HEAD.test(text)) throw requestFault(text);
  return new ParsedRequest(text, text.indexOf("\r"), limits);
}

/**
 * Parses a response head, from the status line to the empty line, as strictly as requests. How its content
 * ends depends on the method of the request. Everything wrong with it is `UPSTREAM_PROTOCOL`.
 */
export function parseResponseHead(
  text: string,
  requestMethod: string,
  limits: FieldLimits,
): ResponseHead {
  if (!RESPONSE_HEAD.test(text)) throw responseFault(text);
  return new ParsedResponse(text, text.indexOf("\r"), requestMethod, limits);
}

const TRAILERS = /(?:^|,)[ \t]*trailers[ \t]*(?:,|$)/i;

const H2C = /(?:^|[ \t,])h2c(?:$|[ \t,])/i;

class ParsedRequest extends ParsedHead implements RequestHead {
  method: string;
  target: string;
  authority = "";
  host = "";
  form: TargetForm = "origin";
  path = "";
  scheme: "" | "http" | "https" = "";
  expectContinue = false;
  requestId = "";
  traceparent = "";
  tracestate = "";
  b3: B3Fields | null = null;
  forwardedFor = "";
  forwardedProto = "";
  proxyAuthorization = "";
  offersHttp2 = false;
  acceptsTrailers = false;
  repeats = false;
  forwarded = "";

  constructor(text: string, lineEnd: number, limits: FieldLimits) {
    super(text, lineEnd + 2, minorAt(text, lineEnd - 1));
    const methodEnd = text.indexOf(" ");
    this.method = text.slice(0, methodEnd);
    this.target = text.slice(methodEnd + 1, lineEnd - VERSION_LENGTH - 1);
    this.takeAll(this, limits, "request");
    if (this.authority === "" && this.minor === 1) throw malformed("request", "no Host");
    applyTarget(this);
    this.host = this.authority.toLowerCase();
    frameRequest(this);
    this.keepAlive = this.persists();
    const hasContent = this.framing === "chunked" || this.contentLength > 0;
    this.expectContinue &&= this.minor === 1 && hasContent;
    if (this.upgrade !== "" && !this.#upgradable(hasContent)) this.upgrade = "";
    if (this.traceparent.includes(",")) this.traceparent = "";
    if (this.connectionTokens.includes("proxy-authorization")) this.proxyAuthorization = "";
  }

  #upgradable(hasContent: boolean): boolean {
    if ((this.options & CONNECTION_UPGRADE) === 0 || this.minor === 0 || hasContent) return false;
    this.offersHttp2 = H2C.test(this.upgrade);
    return !this.offersHttp2;
  }

  /** Nothing that is known goes on as it came: the serializer writes anew what belongs there. */
  take(known: KnownField, value: string): boolean {
    switch (known) {
      case "host":
        if (this.authority !== "") throw malformed("request", "more than one Host");
        if (!isAuthority(value)) throw malformed("request", `the Host ${quoted(value)}`);
        this.authority = value;
        break;
      case "connection":
        this.takeConnection(value, "request");
        break;
      case "content-length":
        applyContentLength(this, value, "request");
        break;
      case "transfer-encoding":
        applyTransferEncoding(this, value, "request");
        break;
      case "expect":
        if (value.toLowerCase() !== "100-continue") {
          throw new MeshError("EXPECTATION_FAILED", quoted(value));
        }
        this.expectContinue = true;
        break;
      case "te":
        this.acceptsTrailers ||= TRAILERS.test(value);
        break;
      case "x-request-id":
        if (this.requestId === "") this.requestId = value;
        break;
      default:
        this.#takeList(known, value);
    }
    return true;
  }

  #takeB3(known: B3Field, value: string): void {
    this.b3 ??= {};
    this.b3[known] = joined(this.b3[known] ?? "", value);
  }

  #takeList(known: KnownField, value: string): void {
    switch (known) {
      case "upgrade":
        this.upgrade = joined(this.upgrade, value);
        break;
      case "traceparent":
        this.traceparent = joined(this.traceparent, value);
        break;
      case "tracestate":
        this.tracestate = joined(this.tracestate, value);
        break;
      case "x-forwarded-for":
        this.forwardedFor = joined(this.forwardedFor, value);
        break;
      case "x-forwarded-proto":
        this.forwardedProto = joined(this.forwardedProto, value);
        break;
      case "via":
        this.via = joined(this.via, value);
        break;
      case "proxy-authorization":
        this.proxyAuthorization = joined(this.proxyAuthorization, value);
        break;
      case "b3":
      case "x-b3-flags":
      case "x-b3-parentspanid":
      case "x-b3-sampled":
      case "x-b3-spanid":
      case "x-b3-traceid":
        this.#takeB3(known, value);
        break;
    }
  }
}

class ParsedResponse extends ParsedHead implements ResponseHead {
  status: number;
  reason: string;
  repeats = false;
  forwarded = "";

  constructor(text: string, lineEnd: number, requestMethod: string, limits: FieldLimits) {
    super(text, lineEnd + 2, minorAt(text, VERSION_LENGTH - 1));
    this.status = statusAt(text, 9);
    this.reason = text.slice(13, lineEnd);
    this.takeAll(this, limits, "response");
    if ((this.options & CONNECTION_UPGRADE) === 0) this.upgrade = "";
    if (this.status === 101 && (this.upgrade === "" || this.minor === 0)) {
      throw malformed("response", "101 without Upgrade");
    }
    frameResponse(this, requestMethod);
    this.keepAlive = this.framing !== "eof" && this.persists();
  }

  take(known: KnownField, value: string): boolean {
    switch (known) {
      case "connection":
        this.takeConnection(value, "response");
        return true;
      case "content-length":
        applyContentLength(this, value, "response");
        return true;
      case "transfer-encoding":
        applyTransferEncoding(this, value, "response");
        return true;
      case "upgrade":
        this.upgrade = joined(this.upgrade, value);
        return true;
      case "via":
        this.via = joined(this.via, value);
        return true;
      case "keep-alive":
      case "proxy-connection":
      case "te":
        return true;
      default:
        return false;
    }
  }
}

function minorAt(text: string, at: number): 0 | 1 {
  return text.charCodeAt(at) === 0x30 ? 0 : 1;
}

/** Three digits; a third of the cost of `Number` on a slice. */
function statusAt(text: string, at: number): number {
  const hundreds = text.charCodeAt(at) - 0x30;
  const tens = text.charCodeAt(at + 1) - 0x30;
  return 100 * hundreds + 10 * tens + text.charCodeAt(at + 2) - 0x30;
}

const METHOD = new RegExp(`^${TOKEN}$`);

/** Why does a request head not match `REQUEST_HEAD`? */
function requestFault(text: string): MeshError {
  const lineEnd = text.indexOf("\r\n");
  const line = text.slice(0, Math.max(lineEnd, 0));
  const [, method = "", target = "", version = ""] = /^([^ ]*) (.*) ([^ ]*)$/s.exec(line) ?? [];
  if (version === "") return malformed("request", `the request line ${quoted(line)}`);
  if (!METHOD.test(method)) return malformed("request", `the method ${quoted(method)}`);
  if (!/^[!"$-~]+$/.test(target)) {
    return malformed("request", `invalid characters in the request target ${quoted(target)}`);
  }
  if (!/^HTTP\/[0-9]\.[0-9]$/.test(version)) {
    return malformed("request", `the version ${quoted(version)}`);
  }
  if (version.charCodeAt(5) !== 0x31) return new MeshError("VERSION_NOT_SUPPORTED", version);
  return fieldFault(text.slice(lineEnd + 2), "request");
}

/** Why does a response head not match `RESPONSE_HEAD`? */
function responseFault(text: string): MeshError {
  const lineEnd = text.indexOf("\r\n");
  const line = text.slice(0, Math.max(lineEnd, 0));
  return /^HTTP\/1\.[0-9] [1-5][0-9]{2}(?: [\t\x20-\x7e\x80-\xff]*)?$/.test(line)
    ? fieldFault(text.slice(lineEnd + 2), "response")
    : malformed("response", `the status line ${quoted(line)}`);
}
