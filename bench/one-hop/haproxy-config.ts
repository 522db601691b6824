import type { ProxyPlace } from "./nginx-config.ts";

/** HAProxy needs two descriptors a connection; it refuses to start where the limit of open files is lower. */
const CONNECTIONS = 4_000;

/**
 * Configuration of HAProxy on one thread, which does what hostmesh does to a request, as far as it can. Time limits are
 * those of hostmesh's defaults, as each sets timers. `bufferBytes` is HAProxy's read buffer.
 */
export function haproxyConfig(
  place: ProxyPlace,
  mode: "http" | "tcp",
  bufferBytes: number,
): string {
  const { port, upstreams, service } = place;
  const servers = upstreams.map((one, at) => `  server web${at} 127.0.0.1:${one}`).join("\n");
  const isHttp = mode === "http";
  return `global
  maxconn ${CONNECTIONS}
  nbthread 1
  tune.bufsize ${bufferBytes}

defaults
  mode ${mode}
  timeout client 1h
  timeout connect 5s
  timeout server 5m
  timeout queue 3s
${isHttp ? "  timeout http-request 30s\n  timeout http-keep-alive 1h\n  http-reuse always\n" : ""}  retries 2
  option redispatch

frontend in
  bind 127.0.0.1:${port}
${isHttp ? httpRules(service) : "  default_backend web\n"}
backend web
  balance leastconn
${servers}
`;
}

function httpRules(service: string): string {
  return `  option forwardfor
  http-request set-header X-Request-Id %[uuid()]
  http-request set-header X-Forwarded-Proto http
  http-request add-header Via "1.1 haproxy"
  http-response add-header Via "1.1 haproxy"
  use_backend web if { hdr(host) -i ${service} }
`;
}
