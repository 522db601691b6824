/**
 * Identities are SPIFFE IDs of the form that Istio gives to workloads:
 * `spiffe://<trust-domain>/ns/<namespace>/sa/<service-account>` (SPIFFE-ID section 2).
 */
export interface SpiffeId {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** Hosts have identities too, in a namespace that no workload may have: `ns/hostmesh-hosts/sa/<host>`. */
export const HOST_NAMESPACE = "hostmesh-hosts";
/** The registry's own: `ns/hostmesh-system/sa/registry`. */
export const SYSTEM_NAMESPACE = "hostmesh-system";
export const REGISTRY_ACCOUNT = "registry";

/** SPIFFE-ID section 2.1: letters, digits, dots, dashes and underscores, lower-case. */
const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/;
/** SPIFFE-ID section 2.2; a segment of dots alone would be a relative path. */
const SEGMENT = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,255}$/;
const SPIFFE = /^spiffe:\/\/([^/]+)\/ns\/([^/]+)\/sa\/([^/]+)$/;

export function isTrustDomain(text: string): boolean {
  return TRUST_DOMAIN.test(text);
}

/** Throws a RangeError for a part that no SPIFFE ID can hold. */
export function formatSpiffeId({ trustDomain, namespace, serviceAccount }: SpiffeId): string {
  const text = `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
  if (parseSpiffeId(text) === null) throw new RangeError(`not a SPIFFE ID: ${text}`);
  return text;
}

/** Null where the text is no SPIFFE ID of this form: query, port, userinfo and further segments included. */
export function parseSpiffeId(text: string): SpiffeId | null {
  const [, trustDomain = "", namespace = "", serviceAccount = ""] = SPIFFE.exec(text) ?? [];
  if (!isTrustDomain(trustDomain)) return null;
  if (!SEGMENT.test(namespace) || !SEGMENT.test(serviceAccount)) return null;
  return { trustDomain, namespace, serviceAccount };
}

/** The identity of a host, which its daemon has, and which processes of the host share. */
export function hostSpiffeId(trustDomain: string, host: string): string {
  return formatSpiffeId({ trustDomain, namespace: HOST_NAMESPACE, serviceAccount: host });
}

/** Certificate and key of one identity, as workers get them. The key never leaves the process. */
export interface Credential {
  /** SPIFFE ID. */
  readonly identity: string;
  /** PEM: the leaf, then the intermediates. */
  readonly chain: string;
  /** PEM, PKCS #8. */
  readonly privateKey: string;
  /** End of the leaf's validity, ms since the epoch. */
  readonly notAfterMs: number;
}

/** All that a worker needs for mutual TLS. A new one replaces the one before as a whole. */
export interface Credentials {
  readonly trustDomain: string;
  /** PEM certificates of all authorities that are trusted now: old and new while one replaces the other. */
  readonly anchors: readonly string[];
  /** 48 bytes: encrypts session tickets; the same in every worker, and new with each change of the anchors. */
  readonly ticketKeys: Uint8Array;
  /** Those of the workloads on this host, and the host's own. */
  readonly held: readonly Credential[];
}
