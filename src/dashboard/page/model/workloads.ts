import type { MeshReport } from "../../../sight/mesh-report.ts";

/**
 * The service that each workload serves, by the address that both its host and an endpoint name. Of several services the
 * first by name; workloads that serve none are left out. Callers are named by their workload, callees by their service: only
 * so the calls of a service lead on from those to it.
 */
export function servicesOfWorkloads(report: MeshReport): ReadonlyMap<string, string> {
  const serviceAt = new Map<string, string>();
  for (const { service, endpoints } of report.services) {
    for (const { host, address } of endpoints) {
      const at = `${host} ${address}`;
      if (!serviceAt.has(at)) serviceAt.set(at, service);
    }
  }
  const pairs = report.hosts.flatMap(({ host, workloads }) =>
    workloads.flatMap(({ workload, addresses }) => {
      const services = addresses.flatMap((address) => serviceAt.get(`${host} ${address}`) ?? []);
      return services.slice(0, 1).map((service) => [workload, service] as const);
    }),
  );
  return new Map(pairs);
}
