import { processClock } from "../../src/core/clock.ts";
import type { Credential, Credentials } from "../../src/core/identity.ts";
import { TlsContexts } from "../../src/identity/tls-contexts.ts";
import {
  createAuthority,
  generateKeys,
  issueLeaf,
  privateKeyPem,
} from "../../src/identity/x509.ts";

export const CALLER = "spiffe://bench.local/ns/default/sa/caller";
export const CALLED = "spiffe://bench.local/ns/default/sa/called";

const HOUR_MS = 3_600_000;
const TICKET_KEY_BYTES = 48;

/** Credentials of two hosts that trust one authority. */
export function twoHosts(): { readonly caller: Credentials; readonly called: Credentials } {
  const now = Date.now();
  const validity = { notBefore: new Date(now - HOUR_MS), notAfter: new Date(now + HOUR_MS) };
  const authority = createAuthority({ commonName: "bench", ...validity });
  const issue = (identity: string): Credential => {
    const { privateKey, publicKey } = generateKeys();
    const chain = issueLeaf(authority, { publicKey, names: { uris: [identity] }, ...validity });
    const notAfterMs = validity.notAfter.getTime();
    return { identity, chain, privateKey: privateKeyPem(privateKey), notAfterMs };
  };
  const all = {
    trustDomain: "bench.local",
    anchors: [authority.certificate],
    ticketKeys: new Uint8Array(TICKET_KEY_BYTES),
  };
  return { caller: { ...all, held: [issue(CALLER)] }, called: { ...all, held: [issue(CALLED)] } };
}

export function contextsOf(credentials: Credentials): TlsContexts {
  const contexts = new TlsContexts({ clock: { now: Date.now } });
  contexts.apply(credentials);
  return contexts;
}

export const clock = processClock;
