import {
  credentialsOf,
  isHttp,
  isHttp2,
  isTls,
  type ProxyPlan,
  type Relay,
  type Route,
  type Wire,
} from "./relay.ts";

/** Connections beside those of the load: checks that it answers. */
const SPARE_CONNECTIONS = 64;

/**
 * HAProxy as a proxy that does to a request what hostmesh does, as far as it can. Time limits are those of hostmesh's
 * defaults, as each sets timers. Sections are those of HAProxy's configuration manual.
 */
export function haproxyConfig(plan: ProxyPlan): string {
  const { relays, workers, connections } = plan;
  const hasTls = relays.some(({ accepts, dials }) => isTls(accepts) || isTls(dials));
  return `global
  # 3.2 "nbthread": as many as the other contestants have workers.
  nbthread ${workers}
  maxconn ${connections + SPARE_CONNECTIONS}
  # 3.1 "strict-limits": it starts too where there cannot be a connection to a server for each of a client.
  no strict-limits
  # 3.2 "tune.pool-high-fd-ratio": from a quarter of its descriptors on it would close idle connections to servers.
  tune.pool-high-fd-ratio 95
  tune.pool-low-fd-ratio 90
  # 3.2 "tune.bufsize": left at its default of 16384, which the manual advises not to change.
${hasTls ? TLS : ""}
defaults
  timeout client 1h
  timeout connect 5s
  timeout server 5m
  timeout queue 3s
  retries 2
  option redispatch
  # 8 "Logging": none, as there is no "log" line.
${relays.map((relay) => (isHttp(relay.accepts) ? httpRelay(plan, relay) : tcpRelay(plan, relay))).join("\n")}`;
}

/** 3.1 "ssl-default-bind-options": TLS 1.3 only. The same cipher as everybody has. */
const TLS = `  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-server-options ssl-min-ver TLSv1.3
  ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
  ssl-default-server-ciphersuites TLS_AES_128_GCM_SHA256
`;

function httpRelay(plan: ProxyPlan, relay: Relay): string {
  const { name, routes, accepts } = relay;
  const scheme = isTls(accepts) ? "https" : "http";
  return `
frontend ${name}
  mode http
  ${bind(plan, relay)}
  timeout http-request 30s
  timeout http-keep-alive 1h
  option forwardfor
  http-request set-header X-Request-Id %[uuid()] unless { req.hdr(X-Request-Id) -m found }
  http-request set-header X-Forwarded-Proto ${scheme}
  http-request add-header Via "1.1 haproxy"
  http-response add-header Via "1.1 haproxy"
  ${choice(relay)}
${routes.map((route) => httpBackend(plan, relay, route)).join("")}`;
}

/** 4.2 "use_backend": a rule where there is one service, and the backend's name made of Host where there are many. */
function choice({ name, routes }: Relay): string {
  const [only, ...others] = routes;
  return others.length === 0 && only !== undefined
    ? `use_backend ${name}-${only.authority} if { req.hdr(host) -i ${only.authority} }`
    : `use_backend ${name}-%[req.hdr(host),lower]`;
}

/** 4.2 "http-reuse": always, the mode of the highest reuse. 5.2 "pool-max-conn": no limit of idle connections. */
function httpBackend(plan: ProxyPlan, relay: Relay, { authority, to }: Route): string {
  return `
backend ${relay.name}-${authority}
  mode http
  http-reuse always
  server ${authority} ${to.host}:${to.port} pool-max-conn -1${dialTls(plan, relay.dials, authority)}
`;
}

function tcpRelay(plan: ProxyPlan, relay: Relay): string {
  const [route] = relay.routes;
  if (route === undefined) throw new TypeError("a relay of TCP needs a service");
  const { authority, to } = route;
  return `
listen ${relay.name}
  mode tcp
  ${bind(plan, relay)}
  timeout server 1h
  server ${authority} ${to.host}:${to.port}${dialTls(plan, relay.dials, authority)}
`;
}

function bind(plan: ProxyPlan, { listen, accepts }: Relay): string {
  const address = `bind ${listen.host}:${listen.port}`;
  if (!isTls(accepts)) return `${address}${priorKnowledge(accepts)}`;
  const { certificate, authority } = credentialsOf(plan);
  const tls = `ssl crt ${certificate} ca-file ${authority} verify required`;
  return `${address} ${tls}${alpn(accepts)}`;
}

/** 5.2 "verify" and "verifyhost": the server's certificate must be of our authority, and for that service. */
function dialTls(plan: ProxyPlan, wire: Wire, name: string): string {
  if (!isTls(wire)) return priorKnowledge(wire);
  const { certificate, authority } = credentialsOf(plan);
  const checks = `verify required verifyhost ${name} sni str(${name})`;
  return ` ssl crt ${certificate} ca-file ${authority} ${checks}${alpn(wire)}`;
}

/** 5.1 and 5.2 "proto": HTTP/2 without TLS to negotiate it by. */
function priorKnowledge(wire: Wire): string {
  return isHttp2(wire) ? " proto h2" : "";
}

/** 5.1 and 5.2 "alpn": with h2 on both sides many requests share a connection. */
function alpn(wire: Wire): string {
  if (isHttp2(wire)) return " alpn h2";
  return wire === "tls-http1" ? " alpn http/1.1" : "";
}
