import * as z from "zod";
import type { Config } from "../../config/schema.ts";
import { readRegistry } from "../registry.ts";
import { endpointList, serviceList } from "../service-records.ts";
import { compared, type Difference, keyed } from "./compare-dumps.ts";
import type { ConfigDump } from "./dump-record.ts";

const status = z.looseObject({
  revision: z.number(),
  daemons: z.array(
    z.looseObject({
      host: z.string(),
      revision: z.number(),
      refusal: z.object({ revision: z.number(), reason: z.string() }).nullable(),
    }),
  ),
});

/** What a daemon runs with that is not what the registry has. */
export async function compareWithRegistry(
  config: Config,
  host: string,
  dump: ConfigDump,
): Promise<Difference[]> {
  const [known, services, endpoints] = await Promise.all([
    readRegistry(config, "/v1/mesh/status", status),
    readRegistry(config, "/v1/mesh/services", serviceList),
    readRegistry(config, "/v1/mesh/endpoints", endpointList),
  ]);
  const sides = { left: host, right: "the registry" };
  const asService = ({ namespace, name }: (typeof services)[number]) => `${namespace}/${name}`;
  const registered = new Set(services.map(asService));
  // A service that nobody registered is there for as long as its calls are routed somewhere.
  const own = dump.snapshot.services.filter(
    ({ key, endpoints: places, addresses }) =>
      registered.has(key) || places.length + addresses.length > 0,
  );
  const none = () => [];
  return [
    ...standing(known, host, dump),
    ...compared(
      new Map<string, unknown>(keyed(own, ({ key }) => key)),
      new Map<string, unknown>(keyed(services, asService)),
      sides,
      "service",
      none,
    ),
    ...compared(
      new Map(
        own.flatMap(({ key, endpoints: places }) => places.map(({ id }) => [`${key} ${id}`, 1])),
      ),
      new Map(endpoints.map(({ namespace, service, id }) => [`${namespace}/${service} ${id}`, 1])),
      sides,
      "endpoint",
      none,
    ),
  ];
}

function standing(
  { revision, daemons }: z.infer<typeof status>,
  host: string,
  dump: ConfigDump,
): Difference[] {
  const daemon = daemons.find((one) => one.host === host);
  const found: Difference[] = [];
  if (daemon !== undefined && daemon.refusal !== null) {
    const { revision: refused, reason } = daemon.refusal;
    found.push({ kind: "revision", name: "daemon", text: `refused ${refused}: ${reason}` });
  }
  if (dump.revision !== revision) {
    const text = `acts on ${dump.revision}, and the registry has ${revision}`;
    found.push({ kind: "revision", name: "daemon", text });
  }
  return found;
}
