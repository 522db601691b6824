import * as z from "zod";
import type { Config } from "../../config/schema.ts";
import { CliError } from "../cli-error.ts";
import { readRegistry } from "../registry.ts";
import { endpointList, serviceList } from "../service-records.ts";
import { type CheckGroup, type Finding, failure, ok, skipped, warning } from "./finding.ts";

const status = z.looseObject({
  revision: z.number(),
  services: z.number(),
  endpoints: z.number(),
  daemons: z.array(
    z.looseObject({
      host: z.string(),
      revision: z.number(),
      silentMs: z.number(),
      refusal: z.object({ revision: z.number(), reason: z.string() }).nullable(),
    }),
  ),
});
type Status = z.infer<typeof status>;

/** Can the registries be reached, and does one know this host's daemon? */
export function registryGroup(config: Config): CheckGroup {
  return {
    title: "registry",
    async run() {
      const findings: Finding[] = [];
      let seen: Status | null = null;
      for (const url of config.registry.urls) {
        const one: Config = { ...config, registry: { ...config.registry, urls: [url] } };
        try {
          seen = await readRegistry(one, "/v1/mesh/status", status);
          const { revision, services, endpoints } = seen;
          findings.push(
            ok(
              `${url} answers: revision ${revision}, ${services} services, ${endpoints} endpoints`,
            ),
          );
        } catch (reason) {
          findings.push(unreachable(reason));
        }
      }
      if (seen !== null) findings.push(hostFinding(config.host, seen));
      return findings;
    },
  };
}

function unreachable(reason: unknown): Finding {
  if (!(reason instanceof CliError)) throw reason;
  return failure(reason.message, reason.remedy ?? "Look at the registry's log.");
}

function hostFinding(host: string, { daemons, revision }: Status): Finding {
  const own = daemons.find((daemon) => daemon.host === host);
  if (own === undefined) {
    const others = daemons.map((daemon) => daemon.host).join(", ") || "none";
    return warning(
      `no daemon of host ${host} is connected (connected: ${others})`,
      "Start it, or name the host with --host as the daemon does.",
    );
  }
  if (own.refusal !== null) {
    return failure(
      `the daemon refused revision ${own.refusal.revision}: ${own.refusal.reason}`,
      "Correct the record that it names; the daemon goes on with the revision before.",
    );
  }
  if (own.revision < revision) {
    return warning(
      `the daemon of host ${host} has revision ${own.revision} of ${revision}`,
      "Check again in a moment; if it stays behind, look at the daemon's log.",
    );
  }
  return ok(`the daemon of host ${host} is connected and has revision ${own.revision}`);
}

/** Has every service an endpoint that takes requests? */
export function servicesGroup(config: Config): CheckGroup {
  return {
    title: "services",
    async run() {
      try {
        const services = await readRegistry(config, "/v1/mesh/services", serviceList);
        if (services.length === 0) return [ok("none is registered")];
        const endpoints = await readRegistry(config, "/v1/mesh/endpoints", endpointList);
        return services.map((service) => serviceFinding(service, endpoints));
      } catch (reason) {
        if (reason instanceof CliError) return [skipped("the registry cannot be asked")];
        throw reason;
      }
    },
  };
}

function serviceFinding(
  { name, namespace, endpoints: counts }: z.infer<typeof serviceList>[number],
  endpoints: z.infer<typeof endpointList>,
): Finding {
  const all = counts.passing + counts.warning + counts.critical;
  if (all === 0) {
    return warning(
      `${namespace}/${name}: no endpoint is registered`,
      `Register one: hostmesh service register ${name} --port PORT`,
    );
  }
  const good = all - counts.critical;
  const text = `${namespace}/${name}: ${good} of ${all} endpoints healthy`;
  if (good === all) return ok(text);
  const [bad] = endpoints.filter(
    (one) => one.service === name && one.namespace === namespace && one.health === "critical",
  );
  const why = bad?.checks.find((check) => check.status === "critical")?.output ?? "";
  const remedy = `Look at ${bad?.id ?? "it"}${why === "" ? "" : `: ${why}`}`;
  return good === 0 ? failure(text, remedy) : warning(text, remedy);
}
