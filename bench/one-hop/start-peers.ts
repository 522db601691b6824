import { access, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fetchThrough } from "../lib/fetch-through.ts";
import { freePorts } from "../lib/free-ports.ts";
import { pinned } from "../lib/pinning.ts";
import type { Tool } from "../lib/tools.ts";
import type { Workbench } from "../lib/workbench.ts";
import { type Contestant, SERVICE } from "./contestant.ts";
import { haproxyConfig } from "./haproxy-config.ts";
import { nginxConfig, nginxStreamConfig, upstreamConfig } from "./nginx-config.ts";

/** Ports of the upstream, so that balancers have something to choose from. */
const UPSTREAM_PORTS = 4;
const START_MS = 10_000;
/** Where Debian's libnginx-mod-stream puts its module. */
const STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so";

export interface PeerPlace {
  readonly upstreams: readonly number[];
  readonly cpu: number | null;
  readonly mode: "http" | "tcp";
}

/** Starts the nginx that answers every request with a body of the size in its path; resolves with its ports. */
export async function startUpstream(
  bench: Workbench,
  nginx: Tool,
  { bodies, vary }: { readonly bodies: readonly number[]; readonly vary: boolean },
  cpu: number | null,
): Promise<number[]> {
  const root = join(bench.folder, "bodies");
  await mkdir(root);
  for (const size of bodies) await writeFile(join(root, String(size)), "x".repeat(size));
  const ports = await freePorts(UPSTREAM_PORTS);
  const folder = await folderFor(bench, "upstream");
  const file = join(folder, "nginx.conf");
  await writeFile(file, upstreamConfig({ folder, ports, root, vary }));
  bench.start("the upstream", pinned(nginxCommand(nginx, folder, file), cpu));
  await bench.until("the upstream", () => answers(ports[0] ?? 0, bodies[0] ?? 0), START_MS);
  return ports;
}

/** Starts nginx as a proxy. */
export async function startNginx(
  bench: Workbench,
  nginx: Tool,
  { upstreams, cpu, mode }: PeerPlace,
): Promise<Contestant> {
  const folder = await folderFor(bench, "nginx");
  const file = join(folder, "nginx.conf");
  const [port = 0] = await freePorts(1);
  const place = { folder, port, upstreams, service: SERVICE };
  const config =
    mode === "http" ? nginxConfig(place) : nginxStreamConfig(place, await streamModule());
  await writeFile(file, config);
  const pid = bench.start("nginx", pinned(nginxCommand(nginx, folder, file), cpu));
  return { name: "nginx", version: nginx.version, port, pid, warmUpSeconds: 1, connectTo: null };
}

/** Starts HAProxy as a proxy. */
export async function startHaproxy(
  bench: Workbench,
  haproxy: Tool,
  { upstreams, cpu, mode }: PeerPlace,
  bufferBytes: number,
): Promise<Contestant> {
  const folder = await folderFor(bench, "haproxy");
  const file = join(folder, "haproxy.cfg");
  const [port = 0] = await freePorts(1);
  await writeFile(
    file,
    haproxyConfig({ folder, port, upstreams, service: SERVICE }, mode, bufferBytes),
  );
  const pid = bench.start("HAProxy", pinned([haproxy.path, "-db", "-f", file], cpu));
  return {
    name: "HAProxy",
    version: haproxy.version,
    port,
    pid,
    warmUpSeconds: 1,
    connectTo: null,
  };
}

/** Waits until a contestant answers with a whole body, of every size. */
export async function untilReady(
  bench: Workbench,
  { name, port }: Contestant,
  bodies: readonly number[],
): Promise<void> {
  const what = name === "direct" ? "the upstream" : name;
  for (const size of bodies) await bench.until(what, () => answers(port, size), START_MS);
}

/** Debian's nginx loads it; others have it built in. */
async function streamModule(): Promise<string | null> {
  return access(STREAM_MODULE).then(
    () => STREAM_MODULE,
    () => null,
  );
}

async function answers(port: number, size: number): Promise<boolean> {
  const { status, bytes } = await fetchThrough(port, SERVICE, `/${size}`);
  return status === 200 && bytes === size;
}

async function folderFor(bench: Workbench, name: string): Promise<string> {
  const folder = join(bench.folder, name);
  await mkdir(folder);
  return folder;
}

function nginxCommand(nginx: Tool, folder: string, file: string): string[] {
  return [nginx.path, "-e", "stderr", "-p", folder, "-c", file];
}
