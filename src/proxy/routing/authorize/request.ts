import type { RequestHead } from "../../../http/message.ts";

/** The payload of a token whose signature, issuer, audience and times have been checked. */
export type TokenClaims = Readonly<Record<string, unknown>>;

/** What policies are asked about. The caller keeps one of them and fills it again for each request. */
export interface AuthorizationRequest {
  /** SPIFFE ID of the caller without `spiffe://`; `""`: none was proven. */
  principal: string;
  /** Of the peer that connected, in canonical form. */
  sourceAddress: string;
  /** Of the original client, as far as X-Forwarded-For is trusted. */
  remoteAddress: string;
  /** Of the workload. */
  destinationAddress: string;
  /** Of the workload. */
  destinationPort: number;
  /** Null: opaque TCP. */
  head: RequestHead | null;
  /** As `normalizePath` gives it, without the query; `""` for TCP. */
  path: string;
  /** Of the request's valid token; null: there is none. */
  claims: TokenClaims | null;
  /** Server name that the client asked for in TLS; `""`: none. */
  sni: string;
}

/** What was decided. Verdicts are made once, so that deciding allocates nothing. */
export interface Verdict {
  readonly allowed: boolean;
  /** Source of the policy that decided; `""`: none did. */
  readonly policy: string;
}
