import { parseHostPort } from "../../core/address.ts";
import type { ServiceRef } from "../../core/traffic.ts";

const CLUSTER_NAME = /^([a-z0-9-]{1,63})\.([a-z0-9-]{1,63})\.svc(?:\.[a-z0-9.-]+)?$/;

/** What a name such as `books.shop.svc.cluster.local` means; other names are hosts. */
export interface NamedService {
  readonly ref: ServiceRef;
  /** Null for a host. */
  readonly namespace: string | null;
}

export function serviceNamed(name: string): NamedService {
  const lower = name.toLowerCase();
  const [, service, namespace] = CLUSTER_NAME.exec(lower) ?? [];
  if (service === undefined || namespace === undefined) {
    return { ref: `host:${lower}`, namespace: null };
  }
  return { ref: `${namespace}/${service}`, namespace };
}

/** `name` or `name:port`; null for what is neither. */
export function authorityNamed(text: string): { ref: ServiceRef; port: number | null } | null {
  const hasPort = /:\d+$/.test(text);
  const found = parseHostPort(text, 1);
  if (found === null) return null;
  return { ref: serviceNamed(found.host).ref, port: hasPort ? found.port : null };
}
