import { parseSpiffeId, type SpiffeId } from "../../../core/identity.ts";
import type { RequestHead } from "../../../http/message.ts";
import { type ParsedAddress, parseAddress } from "./address-block.ts";
import type { AuthorizationRequest } from "./request.ts";
import { NO_TOKEN, type TokenFacts, tokenFactsOf } from "./token-facts.ts";

const NONE: readonly string[] = Object.freeze([]);
const KEPT_PRINCIPALS = 1_024;

/** A caller's identity, in parts; `""` where there is none. */
interface Source {
  readonly trustDomain: string;
  readonly namespace: string;
  /** `namespace/account`. */
  readonly serviceAccount: string;
}

const NOBODY: Source = { trustDomain: "", namespace: "", serviceAccount: "" };

class Address {
  readonly parsed: ParsedAddress = { family: 0, words: new Uint32Array(4) };
  #text = "";

  read(text: string): ParsedAddress {
    if (text !== this.#text) {
      this.#text = text;
      parseAddress(text, this.parsed);
    }
    return this.parsed;
  }
}

/**
 * One request as rules read it. There is one of these per worker, filled again for each request: what has to be taken
 * apart is taken apart when a rule first asks, and kept while the next request says the same.
 */
export class Facts {
  request: AuthorizationRequest = NOTHING;
  /** Lower-case names of headers that only the proxy may set: what the client sent of them does not count. */
  #guarded: ReadonlySet<string> = new Set();
  #token: TokenFacts | null = null;
  readonly #sources = new Map<string, Source>();
  readonly #sourceAddress = new Address();
  readonly #remoteAddress = new Address();
  readonly #destinationAddress = new Address();
  #port = -1;
  #portText = "";
  #authority = "";
  #hosts = NONE;
  readonly #headerNames = new Set<string>();
  #hasHeaderNames = false;

  load(request: AuthorizationRequest, guarded: ReadonlySet<string>): void {
    this.request = request;
    this.#guarded = guarded;
    this.#token = null;
    this.#hasHeaderNames = false;
  }

  get head(): RequestHead | null {
    return this.request.head;
  }

  get source(): Source {
    const { principal } = this.request;
    if (principal === "") return NOBODY;
    const known = this.#sources.get(principal);
    if (known !== undefined) return known;
    if (this.#sources.size >= KEPT_PRINCIPALS) this.#sources.clear();
    const source = sourceOf(parseSpiffeId(`spiffe://${principal}`));
    this.#sources.set(principal, source);
    return source;
  }

  get sourceAddress(): ParsedAddress {
    return this.#sourceAddress.read(this.request.sourceAddress);
  }

  get remoteAddress(): ParsedAddress {
    return this.#remoteAddress.read(this.request.remoteAddress);
  }

  get destinationAddress(): ParsedAddress {
    return this.#destinationAddress.read(this.request.destinationAddress);
  }

  get port(): string {
    if (this.#port !== this.request.destinationPort) {
      this.#port = this.request.destinationPort;
      this.#portText = String(this.#port);
    }
    return this.#portText;
  }

  get token(): TokenFacts {
    this.#token ??= this.request.claims === null ? NO_TOKEN : tokenFactsOf(this.request.claims);
    return this.#token;
  }

  /** The authority in lower case, as it is and without port and trailing dot: both name the same host. */
  get hosts(): readonly string[] {
    const authority = this.head?.host ?? "";
    if (authority !== this.#authority) {
      this.#authority = authority;
      this.#hosts = hostForms(authority);
    }
    return this.#hosts;
  }

  /**
   * Value of a header by its lower-case name, also of Envoy's pseudo headers; repeated ones are joined with commas,
   * as Envoy does (RFC 9110 section 5.3). `""`: absent.
   */
  header(name: string): string {
    const head = this.head;
    if (head === null) return "";
    if (name === "host" || name === ":authority") return head.authority;
    if (name === ":method") return head.method;
    if (name === ":path") return head.path;
    if (this.#guarded.has(name)) return this.token.headers.get(name) ?? "";
    return joined(head.fields, name);
  }

  /** Lower-case names of all headers that may be present, each once. */
  get headerNames(): ReadonlySet<string> {
    const names = this.#headerNames;
    if (this.#hasHeaderNames) return names;
    this.#hasHeaderNames = true;
    names.clear();
    const fields = this.head?.fields ?? NONE;
    for (let at = 0; at < fields.length; at += 2) names.add(fields[at]!.toLowerCase());
    for (const name of PSEUDO) names.add(name);
    for (const name of this.token.headers.keys()) names.add(name);
    return names;
  }
}

/** Headers that are not among the fields under that name. */
const PSEUDO = ["host", ":authority", ":method", ":path"];

const NOTHING: AuthorizationRequest = {
  principal: "",
  sourceAddress: "",
  remoteAddress: "",
  destinationAddress: "",
  destinationPort: 0,
  head: null,
  path: "",
  claims: null,
  sni: "",
};

function joined(fields: readonly string[], name: string): string {
  let value: string | null = null;
  for (let at = 0; at < fields.length; at += 2) {
    const candidate = fields[at]!;
    if (candidate.length !== name.length || candidate.toLowerCase() !== name) continue;
    value = value === null ? fields[at + 1]! : `${value},${fields[at + 1]!}`;
  }
  return value ?? "";
}

function sourceOf(id: SpiffeId | null): Source {
  if (id === null) return NOBODY;
  const { trustDomain, namespace, serviceAccount } = id;
  return { trustDomain, namespace, serviceAccount: `${namespace}/${serviceAccount}` };
}

function hostForms(authority: string): readonly string[] {
  if (authority === "") return NONE;
  const port = /:\d+$/.exec(authority)?.[0] ?? "";
  const bare = authority.slice(0, authority.length - port.length).replace(/\.$/, "");
  return [...new Set([authority, bare, bare + port])];
}
