import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missing } from "./h2-programs.ts";
import { until } from "./until.ts";

/** For `skip` of tests that need a real etcd. */
export const noEtcd: string | false = missing("etcd");

/** One real etcd process, which can be killed and started again on the same data. */
export interface EtcdMember {
  readonly url: string;
  start(): Promise<void>;
  /** SIGKILL by default; resolves when it is gone. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export interface EtcdCluster {
  readonly urls: readonly string[];
  readonly members: readonly EtcdMember[];
}

/** Members of one cluster, each on free ports of loopback; `extra`: further flags of all. */
export async function etcdCluster(
  t: { after(task: () => Promise<void>): void },
  size: number,
  extra: { readonly scheme?: string; readonly flags?: readonly string[] } = {},
): Promise<EtcdCluster> {
  const folder = await mkdtemp(join(tmpdir(), "hostmesh-etcd-"));
  const { scheme = "http", flags = [] } = extra;
  const ports = await freePorts(size * 2);
  const places = Array.from({ length: size }, (_, index) => ({
    name: `m${index}`,
    url: `${scheme}://127.0.0.1:${ports[index * 2]}`,
    peer: `http://127.0.0.1:${ports[index * 2 + 1]}`,
  }));
  const cluster = places.map(({ name, peer }) => `${name}=${peer}`).join(",");
  const members = places.map(({ name, url, peer }) =>
    memberOf(url, [
      ...["--name", name, "--data-dir", join(folder, name), "--log-level", "error"],
      ...["--listen-client-urls", url, "--advertise-client-urls", url],
      ...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer],
      ...["--initial-cluster", cluster, "--initial-cluster-state", "new"],
      // Elections in a quarter of the default time: tests wait for them.
      ...["--heartbeat-interval", "50", "--election-timeout", "300", ...flags],
    ]),
  );
  t.after(async () => {
    await Promise.all(members.map((member) => member.stop()));
    await rm(folder, { recursive: true, force: true });
  });
  await Promise.all(members.map((member) => member.start()));
  return { urls: places.map(({ url }) => url), members };
}

function memberOf(url: string, args: readonly string[]): EtcdMember {
  let child: ChildProcess | null = null;
  const port = Number(new URL(url).port);
  return {
    url,
    async start() {
      child = spawn("etcd", args, { stdio: "ignore" });
      await until(() => child?.exitCode !== null || isListening(port), { what: "etcd to listen" });
      if (child.exitCode !== null) throw new Error(`etcd ended with ${child.exitCode}`);
    },
    async stop(signal = "SIGKILL") {
      const running = child;
      child = null;
      if (running === null || running.exitCode !== null || running.signalCode !== null) return;
      running.kill(signal);
      await once(running, "exit");
    },
  };
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** All held open at once, so that they differ. */
async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = [];
  for (let index = 0; index < count; index++) {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    servers.push(server);
  }
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
