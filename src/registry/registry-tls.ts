import { X509Certificate } from "node:crypto";
import type { ConnectionOptions } from "node:tls";
import {
  formatSpiffeId,
  SYSTEM_NAMESPACE as namespace,
  REGISTRY_ACCOUNT as serviceAccount,
} from "../core/identity.ts";
import { readCertificate } from "../identity/certificate-fields.ts";

/** How a client of the registry's TLS port knows the registry, and who it says it is itself. */
export interface RegistryTls {
  readonly trustDomain: string;
  /** PEM of the authorities that the registry's certificate must come from. */
  readonly anchors: readonly string[];
  /** PEM of its own certificate, with intermediates, and of the key; absent: it stays anonymous. */
  readonly credential?: { readonly chain: string; readonly privateKey: string };
}

/**
 * Options for a connection to the registry: TLS 1.3, a chain to the anchors, and the registry's SPIFFE ID in the place
 * of a host name (SPIFFE X.509-SVID section 5.2), so that one certificate serves under every name and address.
 */
export function registryTlsOptions({ trustDomain, anchors, credential }: RegistryTls) {
  const expected = formatSpiffeId({ trustDomain, namespace, serviceAccount });
  const own =
    credential === undefined ? {} : { cert: credential.chain, key: credential.privateKey };
  return {
    ...own,
    ca: [...anchors],
    minVersion: "TLSv1.3",
    rejectUnauthorized: true,
    checkServerIdentity: (_, { raw }) => {
      const { uris } = readCertificate(new X509Certificate(raw));
      if (uris.length === 1 && uris[0] === expected) return undefined;
      return new Error(`the server is ${uris.join(" and ") || "nobody"}, expected ${expected}`);
    },
  } satisfies ConnectionOptions;
}
