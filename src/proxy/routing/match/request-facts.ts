import { asciiLower, fieldValue } from "../text/wire-text.ts";
import { queryParam, queryParams } from "./query-params.ts";
import type { RouteConnection, RouteRequest, RouteSource } from "./route-request.ts";

const NONE: readonly string[] = Object.freeze([]);
const NOBODY: RouteSource = Object.freeze({ namespace: "", labels: Object.freeze({}) });

/** From so many look-ups on, all fields (or parameters) are taken apart together: or many rules times a long head. */
const MANY = 8;

/** Envoy's pseudo headers, which are not among the fields, and Host, which the target may overrule. */
export const PSEUDO_HEADERS: ReadonlySet<string> = new Set([
  ":authority",
  ":method",
  ":path",
  ":scheme",
  "host",
]);

/**
 * One request or connection as conditions read it. It is filled again for each: what has to be taken apart is taken
 * apart when a condition first asks.
 */
export class RequestFacts {
  path = "";
  method = "";
  scheme = "";
  host = "";
  port = 0;
  source = NOBODY;
  /** Only of a connection. */
  address = "";
  /** Another one for each request. */
  serial = 0;
  #query = "";
  #request: RouteRequest | null = null;
  #lowerPath: string | null = null;
  #headers: Map<string, string> | null = null;
  #params: ReadonlyMap<string, string> | null = null;
  #headersAsked = 0;
  #paramsAsked = 0;
  /** The header that was asked for last: rules mostly ask for the same one. */
  #lastName = "";
  #lastValue: string | null = null;
  /** Names of the parameters that anybody asks for: only these are kept. */
  readonly paramNames = new Set<string>();

  load(request: RouteRequest): void {
    this.serial += 1;
    const { path, method } = request.head;
    const mark = path.indexOf("?");
    this.path = mark === -1 ? path : path.slice(0, mark);
    this.#query = mark === -1 ? "" : path.slice(mark + 1);
    this.method = method;
    this.scheme = request.scheme;
    this.host = request.host;
    this.port = request.port;
    this.source = request.source;
    this.#request = request;
    this.#lowerPath = null;
    this.#headers = null;
    this.#params = null;
    this.#headersAsked = 0;
    this.#paramsAsked = 0;
    this.#lastName = "";
  }

  loadConnection(connection: RouteConnection): void {
    this.address = connection.address;
    this.port = connection.port;
    this.source = connection.source;
  }

  /** So that a head does not live as long as what matched it. */
  release(): void {
    this.#request = null;
    this.#headers = null;
    this.#params = null;
    this.#lastName = "";
    this.#lastValue = null;
    this.source = NOBODY;
  }

  get lowerPath(): string {
    this.#lowerPath ??= asciiLower(this.path);
    return this.#lowerPath;
  }

  /** By lower-case name; null: absent. Several of the same name are joined with commas. */
  header(name: string): string | null {
    if (PSEUDO_HEADERS.has(name)) return this.#pseudo(name);
    if (this.#headers === null && this.#headersAsked >= MANY) this.#headers = byName(this.fields);
    if (this.#headers !== null) return this.#headers.get(name) ?? null;
    if (name === this.#lastName) return this.#lastValue;
    this.#headersAsked += 1;
    this.#lastName = name;
    this.#lastValue = fieldValue(this.fields, name);
    return this.#lastValue;
  }

  param(name: string): string | null {
    if (this.#params !== null) return this.#params.get(name) ?? null;
    if (this.#paramsAsked++ >= MANY) return this.params.get(name) ?? null;
    return queryParam(this.#query, name);
  }

  /** Those of {@link paramNames} that there are. */
  get params(): ReadonlyMap<string, string> {
    this.#params ??= queryParams(this.#query, this.paramNames);
    return this.#params;
  }

  get fields(): readonly string[] {
    return this.#request?.head.fields ?? NONE;
  }

  #pseudo(name: string): string | null {
    const head = this.#request?.head;
    if (head === undefined) return null;
    if (name === ":method") return head.method;
    if (name === ":path") return head.path;
    if (name === ":scheme") return this.scheme;
    return head.authority === "" ? null : head.authority;
  }
}

function byName(fields: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>();
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at]!.toLowerCase();
    const before = headers.get(name);
    headers.set(name, before === undefined ? fields[at + 1]! : `${before},${fields[at + 1]!}`);
  }
  return headers;
}
