import { keyOf } from "../../core/model.ts";
import { assertOwnHost } from "../caller.ts";
import { hostField, idField, nameField, namespaceField } from "../fields.ts";
import { parseInput } from "../parse-input.ts";
import type { RegistryParts } from "../parts.ts";
import { registerEndpoint, removeEndpoint } from "../plan-endpoint.ts";
import { declareService, putWorkload, withdrawService } from "../plan-service.ts";
import { RegistryError } from "../registry-error.ts";
import { BODY_BYTES, type RegistryRequest, type Reply, type Route } from "../route.ts";
import {
  endpointBody,
  healthBody,
  serviceBody,
  toEndpointInput,
  toServiceInput,
  toWorkload,
  workloadBody,
} from "../schema.ts";
import { applyRoute } from "./apply.ts";
import { meshListRoutes } from "./mesh-lists.ts";
import { statusRoutes } from "./status.ts";

/** `/v1/mesh`: the registry's own API. */
export function meshRoutes(parts: RegistryParts): Route[] {
  return [
    ...serviceRoutes(parts),
    ...endpointRoutes(parts),
    ...workloadRoutes(parts),
    ...meshListRoutes(parts),
    ...statusRoutes(parts),
    applyRoute(parts),
    {
      method: "PUT",
      pattern: "/v1/mesh/health",
      allow: ["host"],
      bodyBytes: BODY_BYTES,
      async handle(request) {
        const { host, results } = parseInput(healthBody, request.json());
        assertOwnHost(request.caller, host, "host");
        const own = results.filter(({ check }) => check.startsWith(`${host}/`));
        if (own.length < results.length) {
          throw new RegistryError(
            403,
            "a host reports the checks of its own endpoints only",
            "results",
          );
        }
        const known = await Promise.all(
          own.map(({ check, status, output }) => parts.monitor.report(check, status, output)),
        );
        // A check that was removed meanwhile is no error of the host, but it should know.
        const unknown = own.filter((_, index) => !known[index]).map(({ check }) => check);
        return { body: { unknown } };
      },
    },
  ];
}

function serviceRoutes({ writer, settings }: RegistryParts): Route[] {
  return [
    {
      method: "PUT",
      pattern: "/v1/mesh/services/:namespace/:name",
      writesState: true,
      bodyBytes: BODY_BYTES,
      async handle(request) {
        const body = parseInput(serviceBody, request.hasBody ? request.json() : {});
        const input = toServiceInput(nameOf(request), body, settings.balancer);
        const { revision } = await writer.run((draft) => {
          declareService(draft, input, settings);
        });
        return { index: revision };
      },
    },
    {
      method: "DELETE",
      pattern: "/v1/mesh/services/:namespace/:name",
      writesState: true,
      async handle(request) {
        const key = keyOf(nameOf(request));
        return removal(await writer.run((draft) => withdrawService(draft, key, settings)), key);
      },
    },
  ];
}

function endpointRoutes({ writer, settings, registrars }: RegistryParts): Route[] {
  return [
    {
      method: "PUT",
      pattern: "/v1/mesh/endpoints/:host/*instance",
      writesState: true,
      allow: registrars,
      bodyBytes: BODY_BYTES,
      async handle(request) {
        const place = placeOf(request);
        assertOwnHost(request.caller, place.host, "host");
        const input = toEndpointInput(place, parseInput(endpointBody, request.json()));
        const { revision } = await writer.run((draft) => registerEndpoint(draft, input, settings));
        return { index: revision };
      },
    },
    {
      method: "DELETE",
      pattern: "/v1/mesh/endpoints/:host/*instance",
      writesState: true,
      allow: registrars,
      async handle(request) {
        const { host, instance } = placeOf(request);
        assertOwnHost(request.caller, host, "host");
        const id = `${host}/${instance}`;
        return removal(await writer.run((draft) => removeEndpoint(draft, id)), id);
      },
    },
  ];
}

function workloadRoutes({ writer, host, registrars }: RegistryParts): Route[] {
  return [
    {
      method: "PUT",
      pattern: "/v1/mesh/workloads/:namespace/:name",
      writesState: true,
      allow: registrars,
      bodyBytes: BODY_BYTES,
      async handle(request) {
        const body = parseInput(workloadBody, request.json());
        const { caller } = request;
        const own = caller.role === "host" ? caller.host : host;
        const workload = toWorkload(nameOf(request), body, own);
        assertOwnHost(caller, workload.host, "host");
        const { revision } = await writer.run((draft) => {
          const present = draft.get("workload", keyOf(workload));
          // Its name does not give a host the workload of another.
          if (present !== undefined) assertOwnHost(caller, present.host, "name");
          putWorkload(draft, workload);
        });
        return { index: revision };
      },
    },
    {
      method: "DELETE",
      pattern: "/v1/mesh/workloads/:namespace/:name",
      writesState: true,
      allow: registrars,
      async handle(request) {
        const key = keyOf(nameOf(request));
        const written = await writer.run((draft) => {
          const present = draft.get("workload", key);
          if (present !== undefined) assertOwnHost(request.caller, present.host, "name");
          draft.remove("workload", key);
          return present !== undefined;
        });
        return removal(written, key);
      },
    },
  ];
}

/** Removing what is not there is no error, but the answer says so. */
function removal(
  written: { readonly result: boolean; readonly revision: number },
  key: string,
): Reply {
  return { body: { key, removed: written.result }, index: written.revision };
}

function nameOf({ params }: RegistryRequest): { namespace: string; name: string } {
  return {
    namespace: named("namespace", () => parseInput(namespaceField, params["namespace"])),
    name: named("name", () => parseInput(nameField, params["name"])),
  };
}

function placeOf({ params }: RegistryRequest): { host: string; instance: string } {
  return {
    host: named("host", () => parseInput(hostField, params["host"])),
    instance: named("id", () => parseInput(idField, params["instance"])),
  };
}

function named<T>(field: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (!(cause instanceof RegistryError)) throw cause;
    throw new RegistryError(cause.status, `${field}: ${cause.message}`, field, cause);
  }
}
