import { proxyDefaults } from "./consul/proxy-defaults.ts";
import { serviceDefaults } from "./consul/service-defaults.ts";
import { intentionsEntry, serviceIntentions } from "./consul/service-intentions.ts";
import { serviceResolvers } from "./consul/service-resolver.ts";
import { serviceRouters } from "./consul/service-router.ts";
import { serviceSplitters } from "./consul/service-splitter.ts";
import { backendTrafficPolicy } from "./gateway/backend-traffic-policy.ts";
import { grpcRoute } from "./gateway/grpc-route.ts";
import { httpRoute } from "./gateway/http-route.ts";
import { authorizationPolicy } from "./istio/authorization-policy.ts";
import { destinationRule } from "./istio/destination-rule.ts";
import { peerAuthentication } from "./istio/peer-authentication.ts";
import { requestAuthentication } from "./istio/request-authentication.ts";
import { serviceEntry } from "./istio/service-entry.ts";
import { sidecar } from "./istio/sidecar.ts";
import { virtualService } from "./istio/virtual-service.ts";
import { workloadEntry } from "./istio/workload-entry.ts";
import { endpointSlice } from "./kubernetes/endpoint-slice.ts";
import { endpoints } from "./kubernetes/endpoints.ts";
import { namespace } from "./kubernetes/namespace.ts";
import { node } from "./kubernetes/node.ts";
import { pod } from "./kubernetes/pod.ts";
import { service } from "./kubernetes/service.ts";
import { httpLocalRateLimitPolicy } from "./linkerd/http-local-rate-limit-policy.ts";
import { serviceProfile } from "./linkerd/service-profile.ts";
import { httpRouteGroup } from "./smi/http-route-group.ts";
import { tcpRoute } from "./smi/tcp-route.ts";
import { trafficSplit } from "./smi/traffic-split.ts";
import { trafficTarget } from "./smi/traffic-target.ts";
import type { Translator } from "./translator.ts";

/** Every kind that is understood. A new one is a file in its dialect's folder and a line here. */
export const translators: readonly Translator[] = [
  authorizationPolicy,
  peerAuthentication,
  requestAuthentication,
  virtualService,
  destinationRule,
  serviceEntry,
  workloadEntry,
  sidecar,
  trafficTarget,
  trafficSplit,
  httpRouteGroup,
  tcpRoute,
  httpRoute,
  grpcRoute,
  backendTrafficPolicy,
  service,
  endpointSlice,
  endpoints,
  pod,
  namespace,
  node,
  intentionsEntry,
  serviceIntentions,
  ...serviceRouters,
  ...serviceSplitters,
  ...serviceResolvers,
  ...serviceDefaults,
  ...proxyDefaults,
  serviceProfile,
  httpLocalRateLimitPolicy,
];
