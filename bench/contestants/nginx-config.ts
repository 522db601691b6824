import {
  credentialsOf,
  isGrpc,
  isHttp,
  isHttp2,
  isTls,
  type ProxyPlan,
  type Relay,
  type Route,
} from "./relay.ts";

/** Keep-alive connections never end on their own during a measurement. */
const FOREVER = "keepalive_requests 1000000000; keepalive_timeout 1h;";
/** A service's own address, a client's connection and one to a server: each takes one. */
const SPARE_CONNECTIONS = 1_024;

/**
 * nginx as a proxy that does to a request what hostmesh does, as far as it can. Time limits are those of hostmesh's
 * defaults, as each sets timers. `streamModule` is loaded for TCP where it is not built in.
 */
export function nginxConfig(plan: ProxyPlan, streamModule: string | null): string {
  const { relays, workers, connections, scratch } = plan;
  const isTcp = relays.some(({ accepts }) => !isHttp(accepts));
  const module = isTcp && streamModule !== null ? `load_module ${streamModule};\n` : "";
  return `${module}# ngx_core_module, worker_processes: as many as the other contestants have.
daemon off;
worker_processes ${workers};
pid ${scratch}/nginx.pid;
error_log stderr warn;
events { worker_connections ${2 * connections + SPARE_CONNECTIONS}; }
${isTcp ? streamBlock(plan) : httpBlock(plan)}`;
}

function httpBlock(plan: ProxyPlan): string {
  const { relays, scratch } = plan;
  const kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  const services = Math.max(...relays.map(({ routes }) => routes.length));
  return `http {
  # ngx_http_log_module: no access log.
  access_log off;
  ${kinds.map((kind) => `${kind}_temp_path ${scratch}/${kind};`).join("\n  ")}
  ${FOREVER} tcp_nodelay on;
  client_header_timeout 30s;
  # "Setting up hashes": room for the names of all services.
  server_names_hash_max_size ${Math.max(512, 4 * services)}; server_names_hash_bucket_size 128;

  # ngx_http_proxy_module, proxy_http_version and ngx_http_upstream_module, keepalive: HTTP/1.1 and no Connection field
  # for connections to servers that are kept.
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $host;
  proxy_set_header X-Request-Id $kept_request_id;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header Via $added_via;
  add_header Via "1.1 nginx";
  proxy_connect_timeout 5s; proxy_read_timeout 300s; proxy_send_timeout 300s;
  # ngx_http_proxy_module, proxy_buffers: with its defaults of 4k or 8k nginx needs twice the CPU for large bodies.
  proxy_buffer_size 64k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k;
  proxy_max_temp_file_size 0;
${relays.some(({ dials }) => isGrpc(dials)) ? GRPC : ""}  map $http_x_request_id $kept_request_id { default $http_x_request_id; "" $request_id; }
  map $http_via $added_via { default "$http_via, 1.1 nginx"; "" "1.1 nginx"; }
${relays.map((relay) => httpRelay(plan, relay)).join("\n")}
}
`;
}

/** ngx_http_grpc_module: what is said of servers of HTTP above. Its host is `:authority`, which names the group if not told. */
const GRPC = `  grpc_set_header Host $host;
  grpc_set_header X-Request-Id $kept_request_id;
  grpc_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  grpc_set_header X-Forwarded-Proto $scheme;
  grpc_set_header Via $added_via;
  grpc_connect_timeout 5s; grpc_read_timeout 300s; grpc_send_timeout 300s;
  grpc_buffer_size 64k;
`;

function httpRelay(plan: ProxyPlan, relay: Relay): string {
  const { name, routes, dials } = relay;
  const { connections, workers } = plan;
  const secure = isTls(dials) ? "s" : "";
  const servers = routes.map((route, at) => {
    const group = `${name}-${route.authority}`;
    // ngx_http_upstream_module, keepalive: idle connections that each worker keeps; fewer than the load uses would be
    // closed and opened over and over.
    return `
  upstream ${group} {
    server ${route.to.host}:${route.to.port};
    keepalive ${Math.max(64, Math.ceil(connections / workers))}; ${FOREVER}
  }
  server {
    ${listen(relay, at === 0, " reuseport")}
    server_name ${route.authority};${acceptTls(plan, relay)}
    location / {
      ${isGrpc(dials) ? `grpc_pass grpc${secure}` : `proxy_pass http${secure}`}://${group};${dialTls(plan, relay, route)}
    }
  }`;
  });
  return servers.join("\n");
}

function streamBlock(plan: ProxyPlan): string {
  const relays = plan.relays.map((relay) => streamRelay(plan, relay));
  return `stream {
  # ngx_stream_proxy_module, proxy_buffer_size: its default of 16k costs nearly twice the CPU of a gigabyte.
  proxy_buffer_size 64k; tcp_nodelay on;
  proxy_connect_timeout 5s; proxy_timeout 1h;
${relays.join("\n")}
}
`;
}

function streamRelay(plan: ProxyPlan, relay: Relay): string {
  const [route] = relay.routes;
  if (route === undefined) throw new TypeError("a relay of TCP needs a service");
  const proxyTls = isTls(relay.dials) ? "\n    proxy_ssl on;" : "";
  return `
  server {
    ${listen(relay, true, " reuseport")}${acceptTls(plan, relay)}
    proxy_pass ${route.to.host}:${route.to.port};${proxyTls}${dialTls(plan, relay, route)}
  }`;
}

/** ngx_http_core_module, listen: a socket of its own for each worker; told once for an address. */
function listen({ listen: at, accepts }: Relay, isFirst: boolean, once: string): string {
  // ngx_http_v2_module; the "http2" directive that replaces it is of 1.25.
  const tls = `${isTls(accepts) ? " ssl" : ""}${isHttp2(accepts) ? " http2" : ""}`;
  return `listen ${at.host}:${at.port}${tls}${isFirst ? `${once} backlog=4096` : ""};`;
}

/** "Configuring HTTPS servers", optimization: sessions are shared by workers and resumed. */
function acceptTls(plan: ProxyPlan, { accepts, name }: Relay): string {
  if (!isTls(accepts)) return "";
  const { certificate, key, authority } = credentialsOf(plan);
  return `
    ssl_certificate ${certificate}; ssl_certificate_key ${key};
    ssl_client_certificate ${authority}; ssl_verify_client on;
    ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    ssl_session_cache shared:${name}:10m; ssl_session_timeout 1h;`;
}

function dialTls(plan: ProxyPlan, { dials }: Relay, { authority: name }: Route): string {
  if (!isTls(dials)) return "";
  const { certificate, key, authority } = credentialsOf(plan);
  const module = isGrpc(dials) ? "grpc" : "proxy";
  return `
      ${module}_ssl_certificate ${certificate}; ${module}_ssl_certificate_key ${key};
      ${module}_ssl_trusted_certificate ${authority}; ${module}_ssl_verify on;
      ${module}_ssl_name ${name}; ${module}_ssl_server_name on;
      ${module}_ssl_protocols TLSv1.3;
      ${module}_ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
      ${module}_ssl_session_reuse on;`;
}
