import { parseInput } from "../parse-input.ts";
import type { RegistryParts } from "../parts.ts";
import { registerEndpoint } from "../plan-endpoint.ts";
import { declareService, putWorkload } from "../plan-service.ts";
import { RegistryError } from "../registry-error.ts";
import type { Route } from "../route.ts";
import { applyBody, toEndpointInput, toServiceInput, toWorkload } from "../schema.ts";

/** A batch is allowed to be larger than a single record. */
const APPLY_BYTES = 8_388_608;

/** `POST /v1/mesh/apply`: services, endpoints and workloads in one transaction, all or nothing. */
export function applyRoute({ writer, settings, host: ownHost }: RegistryParts): Route {
  return {
    method: "POST",
    pattern: "/v1/mesh/apply",
    writesState: true,
    bodyBytes: APPLY_BYTES,
    async handle(request) {
      const batch = parseInput(applyBody, request.json());
      const services = batch.services.map((body) =>
        toServiceInput({ namespace: body.namespace, name: body.name }, body, settings.balancer),
      );
      const endpoints = batch.endpoints.map((body) =>
        toEndpointInput({ host: body.host ?? ownHost, instance: body.id }, body),
      );
      const workloads = batch.workloads.map((body) =>
        toWorkload({ namespace: body.namespace, name: body.name }, body, ownHost),
      );
      const { revision } = await writer.run((draft) => {
        // Services first: an endpoint must find its declared service rather than imply one.
        each("services", services, (input) => declareService(draft, input, settings));
        each("endpoints", endpoints, (input) => registerEndpoint(draft, input, settings));
        each("workloads", workloads, (input) => putWorkload(draft, input));
      });
      const counts = { services: services.length, endpoints: endpoints.length };
      return { body: { revision, ...counts, workloads: workloads.length }, index: revision };
    },
  };
}

/** Plans each of a list; what goes wrong is named by its place in the list. */
function each<T>(list: string, inputs: readonly T[], plan: (input: T) => void): void {
  for (const [index, input] of inputs.entries()) {
    try {
      plan(input);
    } catch (cause) {
      if (!(cause instanceof RegistryError)) throw cause;
      const place = `${list}[${index}]`;
      const path = cause.path === undefined ? place : `${place}.${cause.path}`;
      throw new RegistryError(cause.status, `${place}: ${cause.message}`, path, cause);
    }
  }
}
