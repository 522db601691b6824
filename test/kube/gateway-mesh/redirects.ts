import { test } from "node:test";
import { routeYaml } from "./routes.ts";
import type { Case, GatewayStage } from "./stage.ts";

/** A rule of the route: its path, what it makes of it, a path that is called, and the answer's status and Location. */
type Row = readonly [
  prefix: string,
  redirect: string,
  called: string,
  status: number,
  location: string,
];

const prefix = "path: { type: ReplacePrefixMatch, replacePrefixMatch: /new-prefix }";
const full = "path: { type: ReplaceFullPath, replaceFullPath: /new }";

const HOST_AND_STATUS: readonly Row[] = [
  ["/host", "hostname: example.org", "/host", 302, "http://example.org/host"],
  ["/both", "hostname: example.org, statusCode: 301", "/both", 301, "http://example.org/both"],
];

const PATHS: readonly Row[] = [
  ["/old-prefix", prefix, "/old-prefix/lemon", 302, "http://echo/new-prefix/lemon"],
  ["/old", full, "/old/lemon/tree", 302, "http://echo/new"],
  ["/ph", `hostname: example.org, ${prefix}`, "/ph", 302, "http://example.org/new-prefix"],
  ["/ps", `statusCode: 301, ${prefix}`, "/ps", 301, "http://echo/new-prefix"],
  ["/fh", `hostname: example.org, ${full}`, "/fh", 302, "http://example.org/new"],
  ["/fs", `statusCode: 301, ${full}`, "/fs", 301, "http://echo/new"],
];

const PORTS: readonly Row[] = [
  ["/port", "port: 8083", "/port", 302, "http://echo:8083/port"],
  ["/ph", "port: 8083, hostname: example.org", "/ph", 302, "http://example.org:8083/ph"],
  ["/ps", "port: 8083, statusCode: 301", "/ps", 301, "http://echo:8083/ps"],
  [
    ...(["/phs", "port: 8083, hostname: example.org, statusCode: 302", "/phs", 302] as const),
    "http://example.org:8083/phs",
  ],
];

const SCHEMES: readonly Row[] = [
  ["/scheme", "scheme: https", "/scheme", 302, "https://echo/scheme"],
  ["/sh", "scheme: https, hostname: example.org", "/sh", 302, "https://example.org/sh"],
  ["/ss", "scheme: https, statusCode: 301", "/ss", 301, "https://echo/ss"],
  [
    ...(["/shs", "scheme: https, hostname: example.org, statusCode: 302", "/shs", 302] as const),
    "https://example.org/shs",
  ],
];

/** Redirects: the published tests look at the status only, these at where it leads too. */
export function redirectTests(stage: () => GatewayStage): void {
  const redirected = async (name: string, rows: readonly Row[]) => {
    const rules = rows.map(
      ([path, redirect]) => `
- matches: [{ path: { type: PathPrefix, value: ${path} } }]
  filters: [{ type: RequestRedirect, requestRedirect: { ${redirect} } }]`,
    );
    const cases = rows.map(
      ([, , path, status, location]): Case => ({ path, status, answered: { location } }),
    );
    const route = routeYaml({ name, rules: rules.join("") });
    await stage().withRoutes(route, () => stage().expect(...cases));
  };

  test("MeshHTTPRouteRedirectHostAndStatus: a redirect names another host, and a status", () =>
    redirected("redirect-host", HOST_AND_STATUS));
  test("MeshHTTPRouteRedirectPath: a redirect changes the path", () =>
    redirected("redirect-path", PATHS));
  test("MeshHTTPRouteRedirectPort: a redirect names another port", () =>
    redirected("redirect-port", PORTS));
  test("MeshHTTPRouteSchemeRedirect: a redirect names another scheme", () =>
    redirected("redirect-scheme", SCHEMES));
  for (const status of [303, 307, 308]) {
    test(`MeshHTTPRoute${status}Redirect: a redirect has the status ${status}`, () =>
      redirected(`redirect-${status}`, [
        ["/moved", `statusCode: ${status}`, "/moved", status, "http://echo/moved"],
      ]));
  }
}
