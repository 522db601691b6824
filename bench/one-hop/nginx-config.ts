/** Where an nginx keeps its files and listens. */
export interface NginxPlace {
  /** Folder of its own: pid, temporary files. */
  readonly folder: string;
}

/** Keep-alive connections never end on their own during a measurement. */
const FOREVER = "keepalive_requests 1000000000; keepalive_timeout 1h;";

/** More than any load opens, and below the limit of open files that systems begin with. */
const CONNECTIONS = 4_000;

function main({ folder }: NginxPlace, inner: string, modules = ""): string {
  return `${modules}daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log stderr warn;
events { worker_connections ${CONNECTIONS}; }
${inner}`;
}

function http({ folder }: NginxPlace, inner: string): string {
  const kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  const temporary = kinds.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join("\n  ");
  return `http {
  access_log off;
  ${temporary}
  ${inner}
}
`;
}

/** Configuration of the upstream: static files below `root`, on every one of the ports. */
export function upstreamConfig(
  place: NginxPlace & {
    readonly ports: readonly number[];
    readonly root: string;
    /** Each response has a field of its own value. */
    readonly vary: boolean;
  },
): string {
  const varied = place.vary ? "add_header X-Id $request_id;" : "";
  const listen = place.ports.map((port) => `listen 127.0.0.1:${port};`).join(" ");
  return main(
    place,
    http(
      place,
      `default_type application/octet-stream;
  sendfile on; tcp_nopush on; tcp_nodelay on;
  open_file_cache max=100; open_file_cache_valid 1h;
  ${FOREVER}
  server { ${listen} root ${place.root}; ${varied} }`,
    ),
  );
}

/** A proxy to measure: where it listens and the ports of the one service behind it. */
export interface ProxyPlace extends NginxPlace {
  readonly port: number;
  readonly upstreams: readonly number[];
  /** The name in Host by which the service is called. */
  readonly service: string;
}

/**
 * Configuration of nginx as a proxy that does what hostmesh does to a request, as far as it can. Buffers are of 64 KiB:
 * with its defaults nginx needs twice the CPU for large bodies, and would be no fair opponent.
 */
export function nginxConfig(place: ProxyPlace): string {
  return main(
    place,
    http(
      place,
      `${FOREVER} tcp_nodelay on;
  upstream web {
    least_conn;
    ${servers(place)}
    keepalive 256; ${FOREVER}
  }
  server {
    listen 127.0.0.1:${place.port};
    server_name ${place.service};
    location / {
      proxy_pass http://web;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Request-Id $request_id;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header Via "1.1 nginx";
      add_header Via "1.1 nginx";
      proxy_buffer_size 64k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k;
      proxy_max_temp_file_size 0;
    }
  }`,
    ),
  );
}

/** Configuration of nginx as a relay of TCP connections. `modulePath` loads a stream module that is not built in. */
export function nginxStreamConfig(place: ProxyPlace, modulePath: string | null): string {
  return main(
    place,
    `stream {
  upstream web {
    least_conn;
    ${servers(place)}
  }
  server { listen 127.0.0.1:${place.port}; proxy_pass web; proxy_buffer_size 64k; tcp_nodelay on; }
}
`,
    modulePath === null ? "" : `load_module ${modulePath};\n`,
  );
}

function servers({ upstreams }: ProxyPlace): string {
  return upstreams.map((port) => `server 127.0.0.1:${port};`).join(" ");
}
