import { isIP } from "node:net";
import { canonicalAddress, parseHostPort } from "../../../core/address.ts";

/** What an authority (Host, or the authority of a target) may mean. */
export type Authority =
  | { readonly kind: "address"; readonly address: string; readonly port: number }
  | {
      readonly kind: "name";
      readonly name: string;
      readonly namespace: string;
      readonly host: string;
      readonly port: number;
    };

/**
 * Reads `NAME`, `NAME.NAMESPACE`, `NAME.NAMESPACE.svc`, `NAME.NAMESPACE.svc.cluster.local` (Kubernetes'
 * DNS forms), or an address, each with or without a port (0: none). A longer name keeps `name` empty: it is
 * a host outside the mesh. Returns null where the text is no authority at all.
 */
export function parseAuthority(text: string, ownNamespace: string): Authority | null {
  const parsed = parseHostPort(text, 65_535);
  if (parsed === null) return null;
  const hasPort = /:\d+$/.test(text) && !text.endsWith("]");
  const port = hasPort ? parsed.port : 0;
  if (isIP(parsed.host) !== 0) {
    return { kind: "address", address: canonicalAddress(parsed.host), port };
  }
  const lower = parsed.host.toLowerCase();
  const host = lower.endsWith(".") ? lower.slice(0, -1) : lower;
  const labels = host.replace(/\.svc(\.cluster\.local)?$/, "").split(".");
  const isShort = labels.length === 1 && labels[0] === host;
  const isNamespaced = labels.length === 2;
  return {
    kind: "name",
    name: isShort || isNamespaced ? (labels[0] ?? "") : "",
    namespace: isNamespaced ? (labels[1] ?? "") : ownNamespace,
    host,
    port,
  };
}
