import * as z from "zod";
import type { Config } from "../../config/schema.ts";
import type { Endpoint, Service } from "../../core/model.ts";
import { foreignResource } from "../../dialects/foreign-kinds.ts";
import { endpointSchema, serviceSchema } from "../../registry/record-schema.ts";
import { readRegistry } from "../registry.ts";
import { postResources, unsendable } from "../resource-batches.ts";
import { resourceOutcomes, resourceRecord } from "../resource-records.ts";
import type { GivenResource, Holdings } from "./analyze.ts";
import { type AnalysisSettings, found } from "./analyzed.ts";
import { CODES, type Finding } from "./codes.ts";

/** What a resource brought comes from the resource, which may be given anew. */
const registered = { resource: z.string().optional() };
const services = z.array(serviceSchema.extend(registered));
const endpoints = z.array(endpointSchema.extend(registered));

/** By which resources are judged where the registry does not say otherwise. */
export function analysisSettings({ balance, identity }: Config): AnalysisSettings {
  const { policy, slowStartMs } = balance;
  return {
    rootNamespaces: ["istio-system", "hostmesh-system"],
    trustDomain: identity.trustDomain,
    balancer: { policy, slowStartMs },
  };
}

/** {@link Holdings} with all that the registry says of its resources. */
export interface RegistryHoldings extends Holdings {
  readonly resources: readonly z.infer<typeof resourceRecord>[];
}

/** Everything in the registry that resources can refer to. */
export async function readHoldings(config: Config): Promise<RegistryHoldings> {
  const [ofServices, ofEndpoints, resources] = await Promise.all([
    readRegistry(config, "/v1/mesh/services", services),
    readRegistry(config, "/v1/mesh/endpoints", endpoints),
    readRegistry(config, "/v1/mesh/resources", z.array(resourceRecord)),
  ]);
  return {
    services: ofServices.filter(isRegistered) satisfies readonly Service[],
    endpoints: ofEndpoints.filter(isRegistered) satisfies readonly Endpoint[],
    resources,
  };
}

function isRegistered({ resource }: { readonly resource?: string | undefined }): boolean {
  return resource === undefined;
}

/** What the registry itself says of resources, besides what was found already. */
export async function registryFindings(
  config: Config,
  given: readonly GivenResource[],
  known: readonly Finding[],
): Promise<Finding[]> {
  // What cannot be sent is found to be bad without the registry.
  const own = given.filter(
    ({ content }) => foreignResource(content) === null && unsendable(content) === null,
  );
  const told = new Set(known.map(placeAndText));
  const findings: Finding[] = [];
  const path = "/v1/mesh/resources/validate";
  for await (const { answer, batch } of postResources(config, path, own, contentOf)) {
    const { results, affected } = resourceOutcomes.parse(answer);
    for (const [index, { errors, kind = "", namespace = "", name = "" }] of results.entries()) {
      const origin = batch[index];
      if (origin === undefined) continue;
      const label = `${kind} ${namespace}/${name}`;
      const said = errors.map(({ path: at, reason }) =>
        found({ ...origin, label }, "HM0002", at, reason),
      );
      // The registry's words for what both refuse are ours too.
      findings.push(...said.filter((each) => !told.has(placeAndText(each))));
    }
    findings.push(...affected.flatMap(worseOff));
  }
  return findings;
}

function contentOf({ content }: GivenResource): unknown {
  return content;
}

function placeAndText({ file, line, column, message }: Finding): string {
  return JSON.stringify([file, line, column, message]);
}

function worseOff(affected: z.infer<typeof resourceOutcomes>["affected"][number]): Finding[] {
  const { kind, namespace, name, warnings } = affected;
  const { level, remedy } = CODES.HM0601;
  return warnings.map(({ path, message }) => ({
    ...{ code: "HM0601" as const, level, file: null, line: 0, column: 0 },
    ...{ resource: `${kind} ${namespace}/${name}`, path, message, remedy },
  }));
}
