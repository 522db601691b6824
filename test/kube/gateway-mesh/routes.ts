import { stringify } from "yaml";
import { MESH } from "./base.ts";

export interface RouteWish {
  readonly kind?: "HTTPRoute" | "GRPCRoute";
  readonly name: string;
  /** Default: that of the services. */
  readonly namespace?: string;
  /** The Service, of the services' namespace, and its port; null: all of its ports. Default: `echo`, 80. */
  readonly parent?: string;
  readonly port?: number | null;
  /** Of the Gateway API, in YAML. */
  readonly rules: string;
}

/** A route as people write it. */
export function routeYaml({
  kind = "HTTPRoute",
  name,
  namespace = MESH,
  ...more
}: RouteWish): string {
  const { parent = "echo", port = 80, rules } = more;
  const parentRef = {
    ...{ group: "", kind: "Service", name: parent },
    ...(namespace === MESH ? {} : { namespace: MESH }),
    ...(port === null ? {} : { port }),
  };
  const head = stringify({
    ...{ apiVersion: "gateway.networking.k8s.io/v1", kind, metadata: { name, namespace } },
    spec: { parentRefs: [parentRef] },
  });
  return `${head}  rules:\n${rules.replace(/^(?=.)/gm, "    ")}\n`;
}
