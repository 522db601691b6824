import { quoted } from "../h1/malformed.ts";
import { isAuthority } from "../h1/request-target.ts";
import { isMethod, isTargetText } from "./field-text.ts";

const COLON = 0x3a;

/** The control data of a request: its pseudo-fields, RFC 9113 section 8.3.1 and RFC 8441 section 4. `""`: absent. */
export class RequestPseudo {
  method = "";
  scheme = "";
  authority = "";
  path = "";
  protocol = "";
  /** Where the fields behind them begin. */
  end = 0;

  /** Takes the pseudo-fields that a flat list begins with. Returns what is wrong with them by themselves, or null. */
  read(fields: readonly string[]): string | null {
    this.method = "";
    this.scheme = "";
    this.authority = "";
    this.path = "";
    this.protocol = "";
    let at = 0;
    while (at < fields.length && fields[at]!.charCodeAt(0) === COLON) {
      const fault = this.#take(fields[at]!, fields[at + 1]!);
      if (fault !== null) return fault;
      at += 2;
    }
    this.end = at;
    return null;
  }

  #take(name: string, value: string): string | null {
    // None of them may be empty: an http URI has a host and a path (RFC 9110 section 4.2.1).
    if (value === "") return `an empty ${quoted(name)}`;
    let before: string;
    switch (name) {
      case ":method":
        before = this.method;
        this.method = value;
        break;
      case ":scheme":
        before = this.scheme;
        this.scheme = value;
        break;
      case ":authority":
        before = this.authority;
        this.authority = value;
        break;
      case ":path":
        before = this.path;
        this.path = value;
        break;
      case ":protocol":
        before = this.protocol;
        this.protocol = value;
        break;
      default:
        return `the pseudo-field ${quoted(name)} in a request`;
    }
    return before === "" ? null : `more than one ${name}`;
  }

  /** A CONNECT that asks for a tunnel (RFC 9113 section 8.5), not the extended one. */
  get isTunnel(): boolean {
    return this.method === "CONNECT" && this.protocol === "";
  }

  /** Is what `read` took a request? Returns what is wrong, or null. */
  fault(connectProtocol: boolean): string | null {
    if (this.method === "") return "no :method";
    if (!isMethod(this.method)) return `the :method ${quoted(this.method)}`;
    if (this.isTunnel) return this.#tunnelFault();
    if (this.protocol !== "") {
      if (!connectProtocol) return 'the pseudo-field ":protocol" in a request';
      if (this.method !== "CONNECT") return ":protocol without CONNECT";
      if (!isMethod(this.protocol)) return `the :protocol ${quoted(this.protocol)}`;
    }
    if (this.scheme === "") return "no :scheme";
    if (!isHttp(this.scheme)) return `the :scheme ${quoted(this.scheme)}`;
    if (this.authority !== "" && !isKnownAuthority(this.authority)) {
      return `the :authority ${quoted(this.authority)}`;
    }
    return this.#pathFault();
  }

  #tunnelFault(): string | null {
    if (this.scheme !== "" || this.path !== "") return ":scheme or :path in CONNECT";
    if (!/:[0-9]+$/.test(this.authority) || !isAuthority(this.authority)) {
      return `CONNECT needs host:port, not ${quoted(this.authority)}`;
    }
    return null;
  }

  #pathFault(): string | null {
    const { path } = this;
    if (path === "") return "no :path";
    const isAsterisk = path === "*" && this.method === "OPTIONS";
    if ((path.charCodeAt(0) !== 0x2f && !isAsterisk) || !isTargetText(path)) {
      return `the :path ${quoted(path)}`;
    }
    return null;
  }
}

/** All that a request target of HTTP/1.1 can have (RFC 9110 section 4.2); compared without case. */
function isHttp(scheme: string): boolean {
  if (scheme === "http" || scheme === "https") return true;
  const lower = scheme.toLowerCase();
  return lower === "http" || lower === "https";
}

/** The one that was found good last: requests mostly go where the one before went. */
let lastAuthority = "";

/** `isAuthority`, for one comparison where the authority is that of the request before. */
export function isKnownAuthority(value: string): boolean {
  if (value === lastAuthority) return true;
  if (!isAuthority(value)) return false;
  lastAuthority = value;
  return true;
}
