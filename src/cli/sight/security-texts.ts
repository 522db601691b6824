import type { Security } from "../../core/security.ts";

interface SecurityText {
  readonly secured: boolean;
  /** What it was, or why it was not secured. */
  readonly text: string;
  /** What to do about it; of what is secured nothing. */
  readonly remedy: string | null;
}

/** Each way in which traffic is secured or not, in words. */
const TEXTS: Readonly<Record<Security, SecurityText>> = {
  mutual_tls: { secured: true, text: "mutual TLS", remedy: null },
  same_host: { secured: true, text: "same host", remedy: null },
  disabled: {
    secured: false,
    text: "policy asks for clear text",
    remedy:
      "find it with `hostmesh get DestinationRule` (tls.mode: DISABLE) and `hostmesh get PeerAuthentication` (mtls.mode: DISABLE), and take that out",
  },
  no_identity: {
    secured: false,
    text: "no certificate",
    remedy:
      "let the calling host join: `hostmesh identity token --host HOST`, then start its daemon with identity.joinTokenFile; `hostmesh proxy-status` shows which host it is",
  },
  not_in_mesh: {
    secured: false,
    text: "other end not in the mesh",
    remedy:
      "run a daemon on the endpoint's host and register what runs there: `hostmesh workload register NAME --address IP`",
  },
  passthrough: {
    secured: false,
    text: "unknown destination",
    remedy:
      "register it (`hostmesh service register NAME --port PORT`, or apply a ServiceEntry); what encrypts by itself is counted here too",
  },
  unknown_caller: {
    secured: false,
    text: "unknown caller",
    remedy:
      "register the caller with `hostmesh workload register NAME --address IP`, or demand mutual TLS with a PeerAuthentication (mtls.mode: STRICT)",
  },
};

/** The words for one; a later version may know ways that this one does not. */
export function securityText(security: string): SecurityText {
  const known = (TEXTS as Readonly<Record<string, SecurityText | undefined>>)[security];
  return known ?? { secured: false, text: security, remedy: "see the manual of that version" };
}
