import { createSigningRequest } from "../../src/identity/signing-request.ts";
import { generateKeys, privateKeyPem } from "../../src/identity/x509.ts";

/** A new key (PEM, PKCS #8) and the request (PEM, PKCS #10) for a certificate of it. */
export interface MadeRequest {
  readonly csr: string;
  readonly privateKey: string;
}

/** A daemon without identities never needs this file: it is imported on demand, as node-forge is large. */
export function makeRequest(identity: string): MadeRequest {
  const pair = generateKeys();
  return {
    csr: createSigningRequest(pair, identity),
    privateKey: privateKeyPem(pair.privateKey),
  };
}
