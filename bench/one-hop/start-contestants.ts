import type { Pinning } from "../lib/pinning.ts";
import type { Tool } from "../lib/tools.ts";
import type { Workbench } from "../lib/workbench.ts";
import type { Contestant, Missing } from "./contestant.ts";
import type { Options } from "./options.ts";
import { startHostmesh } from "./start-hostmesh.ts";
import { startHaproxy, startNginx, startUpstream, untilReady } from "./start-peers.ts";

export interface Tools {
  readonly nginx: Tool;
  readonly wrk: Tool;
  readonly haproxy: Tool | null;
}

export interface Field {
  readonly contestants: readonly Contestant[];
  readonly missing: readonly Missing[];
}

/** Starts the upstream and everybody who can be measured here; each has answered when this resolves. */
export async function startContestants(
  bench: Workbench,
  tools: Tools,
  options: Options,
  { proxyCpu: cpu, loadCpu }: Pinning,
): Promise<Field> {
  const { tcp, bodies, haproxyBufferBytes } = options;
  const upstreams = await startUpstream(bench, tools.nginx, options, loadCpu);
  const place = { upstreams, cpu, mode: tcp ? "tcp" : "http" } as const;
  const direct: Contestant = {
    ...{ name: "direct", version: tools.nginx.version, port: upstreams[0] ?? 0 },
    ...{ pid: null, warmUpSeconds: 1, connectTo: null },
  };
  const contestants = [direct, await startNginx(bench, tools.nginx, place)];
  const missing: Missing[] = [];
  if (tools.haproxy === null) {
    missing.push({ name: "HAProxy", reason: "haproxy is not installed: apt-get install haproxy" });
  } else contestants.push(await startHaproxy(bench, tools.haproxy, place, haproxyBufferBytes));
  contestants.push(await startHostmesh(bench, upstreams, cpu));

  const ready: Contestant[] = [];
  for (const contestant of contestants) {
    const lack = await untilReady(bench, contestant, bodies).then(() => null, lackOfModule);
    if (lack === null) ready.push(contestant);
    else missing.push({ name: contestant.name, reason: lack });
  }
  return { contestants: ready, missing };
}

/** Says what nginx needs to relay TCP where that is why it did not start; any other failure goes on. */
function lackOfModule(error: unknown): string {
  const isLack = error instanceof Error && error.message.includes('unknown directive "stream"');
  if (!isLack) throw error;
  return "nginx has no stream module: apt-get install libnginx-mod-stream";
}
