import type { Health } from "../../core/model.ts";
import { parseCheckUpdate, parseRegistration } from "../consul-schema.ts";
import { ConsulView, checkKey } from "../consul-view.ts";
import type { RegistryParts } from "../parts.ts";
import { endpointId, registerEndpoint, removeEndpoint } from "../plan-endpoint.ts";
import { RegistryError } from "../registry-error.ts";
import { BODY_BYTES, type RegistryRequest, type Reply, type Route } from "../route.ts";
import { hostOf } from "./place.ts";

/** Longest output of a check that is kept; Consul's default. */
const OUTPUT_LENGTH = 4_096;

/** `/v1/agent`: registration and heartbeats, as programs and tools made for Consul call them. */
export function consulAgentRoutes(parts: RegistryParts): Route[] {
  const view = new ConsulView(parts.catalog, parts);
  const heartbeats = (["pass", "warn", "fail"] as const).map(
    (verb): Route => ({
      method: "PUT",
      pattern: `/v1/agent/check/${verb}/*id`,
      allow: ["host"],
      handle: (request) => {
        const note = request.query.get("note") ?? "";
        return report(parts, request, STATUS_OF[verb], note);
      },
    }),
  );
  return [
    {
      method: "PUT",
      pattern: "/v1/agent/service/register",
      writesState: true,
      allow: parts.registrars,
      bodyBytes: BODY_BYTES,
      handle: (request) => register(parts, request),
    },
    {
      method: "PUT",
      pattern: "/v1/agent/service/deregister/*id",
      writesState: true,
      allow: parts.registrars,
      async handle(request) {
        const id = endpointId(hostOf(request, parts), request.params["id"] ?? "");
        // An unknown id is no error, so that a shutdown hook may run twice.
        const { revision } = await parts.writer.run((draft) => removeEndpoint(draft, id));
        return { index: revision };
      },
    },
    ...heartbeats,
    {
      method: "PUT",
      pattern: "/v1/agent/check/update/*id",
      allow: ["host"],
      bodyBytes: BODY_BYTES,
      handle(request) {
        const { Status, Output } = parseCheckUpdate(request.json());
        return report(parts, request, Status, Output);
      },
    },
    {
      method: "GET",
      pattern: "/v1/agent/services",
      allow: ["host"],
      handle: (request) => ({ body: view.agentServices(hostOf(request, parts)) }),
    },
    {
      method: "GET",
      pattern: "/v1/agent/checks",
      allow: ["host"],
      handle: (request) => ({ body: view.agentChecks(hostOf(request, parts)) }),
    },
  ];
}

const STATUS_OF = { pass: "passing", warn: "warning", fail: "critical" } as const;

async function register(parts: RegistryParts, request: RegistryRequest): Promise<Reply> {
  const host = hostOf(request, parts);
  const input = parseRegistration(request.json(), {
    host,
    address: host === parts.host ? parts.nodeAddress : null,
    replaceChecks: isSet(request.query, "replace-existing-checks"),
  });
  const { revision } = await parts.writer.run((draft) =>
    registerEndpoint(draft, input, parts.settings),
  );
  return { index: revision };
}

async function report(
  parts: RegistryParts,
  request: RegistryRequest,
  status: Health,
  output: string,
): Promise<Reply> {
  const id = request.params["id"] ?? "";
  const key = checkKey(hostOf(request, parts), id);
  // It may be registered since a moment, at another registry.
  if (parts.catalog.get("check", key) === undefined) await parts.writer.refresh();
  const check = parts.catalog.get("check", key);
  if (check === undefined) {
    const hint = "Ensure that the check ID is passed, not the check name.";
    throw new RegistryError(404, `Unknown check ID ${JSON.stringify(id)}. ${hint}`);
  }
  if (check.spec.kind !== "ttl") {
    throw new RegistryError(400, `the check ${JSON.stringify(id)} has no TTL: its host runs it`);
  }
  await parts.monitor.report(key, status, output.slice(0, OUTPUT_LENGTH));
  return {};
}

/** Consul's flags: present without a value, or true. */
export function isSet(query: URLSearchParams, name: string): boolean {
  const value = query.get(name);
  return value !== null && !["false", "0", "f"].includes(value.toLowerCase());
}
