import { intentionsEntry, serviceIntentions } from "./consul/service-intentions.ts";
import { authorizationPolicy } from "./istio/authorization-policy.ts";
import { peerAuthentication } from "./istio/peer-authentication.ts";
import { requestAuthentication } from "./istio/request-authentication.ts";
import { httpRouteGroup } from "./smi/http-route-group.ts";
import { tcpRoute } from "./smi/tcp-route.ts";
import { trafficTarget } from "./smi/traffic-target.ts";
import type { Translator } from "./translator.ts";

/** Every kind that is understood. A new one is a file in its dialect's folder and a line here. */
export const translators: readonly Translator[] = [
  authorizationPolicy,
  peerAuthentication,
  requestAuthentication,
  trafficTarget,
  httpRouteGroup,
  tcpRoute,
  intentionsEntry,
  serviceIntentions,
];
