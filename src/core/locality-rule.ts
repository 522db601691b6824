/** Which endpoints of a service come first, by where they and their callers are. */
export interface LocalityRule {
  readonly enabled: boolean;
  /**
   * Endpoints that are meant for the caller's host come first, then those for its zone (see `EndpointHints`), where every
   * endpoint says whom it is meant for; else all are alike (kube-proxy, KEP-2433).
   */
  readonly hints?: true;
  /** Only endpoints of the caller's own host count: without one the call fails (internalTrafficPolicy, KEP-2086). */
  readonly only?: "host";
  /** From `region/zone/host` (each may be `*`) to shares in percent (Istio's distribute). */
  readonly distribute?: readonly {
    readonly from: string;
    readonly to: Readonly<Record<string, number>>;
  }[];
  /** Region to go to after the own one. */
  readonly failover?: readonly { readonly from: string; readonly to: string }[];
  /** Labels, or `label=value`, of which endpoints share the caller's longest prefix first. */
  readonly failoverPriority?: readonly string[];
}
