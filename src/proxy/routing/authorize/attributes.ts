import type { ParsedAddress } from "./address-block.ts";
import type { Facts } from "./facts.ts";

interface AttributeBase {
  readonly key: string;
  /** Opaque TCP has none of it. */
  readonly http: boolean;
  /** Can two requests of one connection differ in it? */
  readonly varies: boolean;
}

/** Something that rules read as text. `""` and an empty list: absent. */
export interface TextAttribute extends AttributeBase {
  /** Lower-case name of the header that it is; `""`: none. */
  readonly header: string;
  /** Names that lead to the claim that it is; empty: none. */
  readonly claim: readonly string[];
  read(facts: Facts): string | readonly string[];
}

export interface AddressAttribute extends AttributeBase {
  readAddress(facts: Facts): ParsedAddress;
}

export type Attribute = TextAttribute | AddressAttribute;

/** Istio's names, without brackets; `to.hosts`, `to.methods` and `to.paths` have none there. */
export const ATTRIBUTES = {
  "source.principal": connection("source.principal", ({ request }) => request.principal),
  "source.namespace": connection("source.namespace", ({ source }) => source.namespace),
  "source.serviceAccount": connection(
    "source.serviceAccount",
    ({ source }) => source.serviceAccount,
  ),
  "source.trustDomain": connection("source.trustDomain", ({ source }) => source.trustDomain),
  "connection.sni": connection("connection.sni", ({ request }) => request.sni),
  "destination.port": connection("destination.port", ({ port }) => port),
  "request.auth.principal": http("request.auth.principal", ({ token }) => token.principal),
  "request.auth.audiences": http("request.auth.audiences", ({ token }) => token.audiences),
  "request.auth.presenter": http("request.auth.presenter", ({ token }) => token.presenter),
  hosts: http("hosts", ({ hosts }) => hosts),
  methods: http("methods", ({ head }) => head?.method ?? ""),
  paths: http("paths", ({ request }) => request.path),
} as const;

export const ADDRESSES = {
  "source.ip": address("source.ip", false, ({ sourceAddress }) => sourceAddress),
  "remote.ip": address("remote.ip", true, ({ remoteAddress }) => remoteAddress),
  "destination.ip": address("destination.ip", false, (facts) => facts.destinationAddress),
} as const;

/** By lower-case name. */
export function headerAttribute(name: string): TextAttribute {
  return { ...http(`request.headers[${name}]`, (facts) => facts.header(name)), header: name };
}

export function claimAttribute(path: readonly string[]): TextAttribute {
  const key = `request.auth.claims[${path.join("][")}]`;
  return { ...http(key, ({ token }) => token.claim(path)), claim: path };
}

function connection(key: string, read: TextAttribute["read"]): TextAttribute {
  return { key, http: false, varies: false, header: "", claim: [], read };
}

function http(key: string, read: TextAttribute["read"]): TextAttribute {
  return { key, http: true, varies: true, header: "", claim: [], read };
}

/** What is known of a connection's addresses is known for opaque TCP too. */
function address(
  key: string,
  varies: boolean,
  readAddress: AddressAttribute["readAddress"],
): AddressAttribute {
  return { key, http: false, varies, readAddress };
}
