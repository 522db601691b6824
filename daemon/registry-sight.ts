import { keyOf } from "../src/core/model.ts";
import type { MeshSight } from "../src/dashboard/server/mesh-sight.ts";
import type { Catalog } from "../src/registry/catalog.ts";
import type { RegistryInside } from "../src/registry/registry.ts";
import { RegistryError } from "../src/registry/registry-error.ts";
import { processTimers } from "../src/registry/timers.ts";
import { mergeReports } from "../src/sight/merge.ts";
import type { MeshReport } from "../src/sight/mesh-report.ts";

/** What a registry knows by itself, where it cannot ask daemons: services and endpoints, without figures of traffic. */
export function registrySight({ catalog, wall }: RegistryInside): MeshSight {
  const report = () => reportOf(catalog, wall.now());
  return {
    report: () => Promise.resolve(report()),
    watch(everyMs, onReport) {
      let cancel: () => void = () => undefined;
      const again = () => {
        cancel = processTimers.after(everyMs, () => {
          onReport(report());
          again();
        });
      };
      again();
      return () => cancel();
    },
    ask: () => Promise.reject(new RegistryError(503, "this registry asks no daemons")),
    tap: () => {
      throw new RegistryError(503, "this registry asks no daemons");
    },
  };
}

function reportOf(catalog: Catalog, atMs: number): MeshReport {
  const endpoints = Map.groupBy(
    catalog.all("endpoint").map(({ value }) => value.endpoint),
    ({ namespace, service }) => keyOf({ namespace, name: service }),
  );
  const services = catalog.all("service").map(({ key }) => {
    return { service: key, endpoints: endpoints.get(key) ?? [] };
  });
  const hosts = catalog.all("host").map(({ value: { name: host, zone = "" } }) => {
    const state = "old" as const;
    return { host, zone, version: "", state, revision: null, refusal: null };
  });
  return mergeReports([], { atMs, revision: catalog.revision(), hosts, services });
}
