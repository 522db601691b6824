import { parse, stringify } from "yaml";
import { z } from "zod";
import type { Program } from "../contestants/program.ts";
import type { Address } from "../contestants/relay.ts";

/** What a proxy has to hold that is beyond its usual configuration. */
export interface Extent {
  /** Endpoints of its only service; empty: every service has the one that its route names. */
  readonly endpoints: readonly Address[];
  /** Connections to servers that it has to keep. */
  readonly serverConnections: number;
}

/**
 * The program with a configuration for many endpoints and many connections. All choose the less loaded of two random
 * endpoints, as hostmesh does: nginx' own least_conn looks at every endpoint for each request. HAProxy may use all its
 * descriptors for connections and does not close idle ones. Throws where the usual configuration is not as it was when
 * this was written.
 */
export function largeProgram(program: Program, extent: Extent): Program {
  const adapt = ADAPT[program.peer];
  return { ...program, config: (plan) => adapt(program.config(plan), extent) };
}

const ADAPT: Readonly<Record<Program["peer"], (config: string, extent: Extent) => string>> = {
  nginx: adaptNginx,
  haproxy: adaptHaproxy,
  envoy: adaptEnvoy,
};

/** ngx_http_upstream_module: "random two least_conn" is the choice of two; "keepalive" counts for all servers. */
function adaptNginx(config: string, { endpoints, serverConnections }: Extent): string {
  if (endpoints.length === 0) return config;
  const servers = endpoints.map(({ host, port }) => `    server ${host}:${port};`).join("\n");
  const many = replaced(
    config,
    /^ {4}server [\d.]+:\d+;$/m,
    `    random two least_conn;\n${servers}`,
  );
  return replaced(many, /\bkeepalive \d+;/, `keepalive ${serverConnections};`);
}

/**
 * 3.2 "tune.pool-high-fd-ratio": from a quarter of its descriptors on HAProxy closes idle connections. 3.1 "strict-limits":
 * it wants two descriptors for each client that it may have, and only some of them have one to a server at the same time.
 * 5.2 "pool-purge-delay": half of what was idle for 5 s is closed. 4.2 "balance random": the less loaded of two.
 */
function adaptHaproxy(config: string, { endpoints }: Extent): string {
  const limits = "no strict-limits\n  tune.pool-high-fd-ratio 95\n  tune.pool-low-fd-ratio 90";
  const roomy = replaced(config, /^global$/m, `global\n  ${limits}`);
  const kept = replaced(roomy, /pool-max-conn -1/g, "pool-max-conn -1 pool-purge-delay 1h");
  if (endpoints.length === 0) return kept;
  const line = /^ {2}server (\S+) [\d.]+:\d+ (.*)$/m;
  const [, name = "", settings = ""] = line.exec(kept) ?? [];
  const servers = endpoints.map(
    ({ host, port }, at) => `  server ${name}-${at} ${host}:${port} ${settings}`,
  );
  return replaced(kept, line, ["  balance random(2)", ...servers].join("\n"));
}

const ENVOY = z.looseObject({
  static_resources: z.looseObject({
    clusters: z.array(
      z.looseObject({
        load_assignment: z.looseObject({ endpoints: z.array(z.looseObject({})).length(1) }),
      }),
    ),
  }),
});

/** "LEAST_REQUEST", the policy that it has already, is the choice of two. */
function adaptEnvoy(config: string, { endpoints }: Extent): string {
  if (endpoints.length === 0) return config;
  const head = /^(?:#.*\n)*/.exec(config)?.[0] ?? "";
  const parsed = ENVOY.parse(parse(config));
  const [cluster, ...others] = parsed.static_resources.clusters;
  const group = cluster?.load_assignment.endpoints[0];
  if (group === undefined || others.length > 0) throw new Error("envoy has not one service");
  group["lb_endpoints"] = endpoints.map(({ host, port }) => ({
    endpoint: { address: { socket_address: { address: host, port_value: port } } },
  }));
  return head + stringify(parsed, { aliasDuplicateObjects: false });
}

function replaced(text: string, pattern: RegExp, by: string): string {
  const result = text.replace(pattern, () => by);
  if (result === text) throw new Error(`the configuration has nothing like ${pattern}`);
  return result;
}
