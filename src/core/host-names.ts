const CLUSTER_DOMAIN = "svc.cluster.local";

interface Named {
  readonly name: string;
  readonly namespace: string;
  readonly hosts?: readonly string[];
}

/** Host names that a service answers to, in lower case: its own in full, and those that its record brings. */
export function hostNamesOf({ name, namespace, hosts = [] }: Named): readonly string[] {
  return [`${name}.${namespace}.${CLUSTER_DOMAIN}`, ...hosts.map((host) => host.toLowerCase())];
}

/** Does a host name lie within a pattern: itself, `*.example.com` for whatever ends so, or `*`? */
export function isWithinHost(host: string, pattern: string): boolean {
  if (pattern === "*") return true;
  return pattern.startsWith("*.") ? host.endsWith(pattern.slice(1)) : host === pattern;
}
