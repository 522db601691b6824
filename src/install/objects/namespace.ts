import {
  choice,
  differs,
  type Manifest,
  NAMESPACE_PATH,
  onlyIn,
  type Template,
  value,
} from "../template.ts";
import { labels } from "./names.ts";

/**
 * The daemon's use of the node's network, of capabilities and of folders of the node is what the standard `baseline` refuses;
 * without capture it keeps to the strictest one.
 */
function podSecurity(): Record<string, Template> {
  const standard = choice(differs("captureMode", "explicit"), "privileged", "restricted");
  return Object.fromEntries(
    ["enforce", "audit", "warn"].map((mode) => [`pod-security.kubernetes.io/${mode}`, standard]),
  );
}

/** The mesh's own namespace. A chart cannot bring it: Helm keeps its record of the release there first. */
export function namespaceManifest(version: string): Manifest {
  return {
    file: "namespace",
    when: onlyIn("objects"),
    object: {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: {
        name: value(NAMESPACE_PATH),
        labels: { ...labels(null, version), ...podSecurity() },
      },
    },
  };
}
