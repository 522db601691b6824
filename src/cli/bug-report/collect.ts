import { arch, cpus, freemem, loadavg, platform, release, totalmem } from "node:os";
import * as z from "zod";
import { packageVersion } from "../../../daemon/package-version.ts";
import type { Runner } from "../../../iptables/runner.ts";
import type { Config } from "../../config/schema.ts";
import { type AdminFlag, adminUrl, readAdmin } from "../admin.ts";
import { isRootOnLinux } from "../capture.ts";
import { checkGroups } from "../check/check-groups.ts";
import { runChecks } from "../check/run-checks.ts";
import { callRegistry } from "../registry.ts";
import type { SettingsFlags } from "../settings-options.ts";

/** One file of the report, before secrets are taken out. */
export interface Part {
  /** In the archive. */
  readonly file: string;
  /** What it is, for people. */
  readonly what: string;
  /** A text, or plain data. Rejects where it is not to be had. */
  read(): Promise<unknown>;
}

/** More hosts than that are left out: the mesh's report has all of them. */
const MAX_HOSTS = 20;
const PATIENCE_MS = 10_000;

const LISTS = ["status", "services", "endpoints", "workloads", "resources", "history"] as const;

const KERNEL: readonly (readonly [command: string, ...args: string[]])[] = [
  ["iptables-save"],
  ["ip6tables-save"],
  ["ipset", "list", "-t"],
  ["ip", "rule"],
  ["ip", "route", "show", "table", "all"],
  ["ip", "-brief", "address"],
];

const hostNames = z.looseObject({ hosts: z.array(z.looseObject({ host: z.string() })) });

/** Everything that a report may hold of this host and of the mesh. */
export function partsOf(config: Config, flags: SettingsFlags & AdminFlag, runner: Runner): Part[] {
  return [
    { file: "about.json", what: "version, platform, load", read: () => Promise.resolve(about()) },
    {
      file: "settings.json",
      what: "settings of this command line",
      read: () => Promise.resolve(config),
    },
    { file: "check.json", what: "output of hostmesh check", read: () => checks(config, flags) },
    ...daemonParts(config, flags),
    ...registryParts(config),
    ...(isRootOnLinux() ? kernelParts(runner) : []),
  ];
}

function about(): object {
  return {
    version: packageVersion(),
    node: process.version,
    platform: `${platform()} ${release()} ${arch()}`,
    cpus: cpus().length,
    loadAverage: loadavg(),
    memoryBytes: { total: totalmem(), free: freemem() },
    at: new Date().toISOString(),
  };
}

async function checks(config: Config, flags: SettingsFlags & AdminFlag): Promise<unknown> {
  return runChecks(await checkGroups(config, flags), () => undefined);
}

function daemonParts(config: Config, flags: AdminFlag): Part[] {
  const admin = adminUrl(flags, config);
  const part = (file: string, what: string, path: string): Part => ({
    file: `daemon/${file}`,
    what: `this host's daemon: ${what}`,
    read: () => readAdmin(admin, path),
  });
  return [
    part("config.json", "settings and snapshot", "/config_dump?redacted"),
    part("stats.json", "traffic", "/stats"),
    part("report.json", "what it saw, with its recent errors", "/sight/report"),
    part("ready.json", "readiness", "/ready"),
    {
      file: "daemon/metrics.txt",
      what: "this host's daemon: metrics",
      read: () => metrics(config.ports.metrics),
    },
  ];
}

async function metrics(port: number): Promise<string> {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const answer = await fetch(`http://127.0.0.1:${port}/metrics`, { signal });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return answer.text();
}

function registryParts(config: Config): Part[] {
  const get = (path: string) =>
    callRegistry(config, { method: "GET", path, timeoutMs: PATIENCE_MS });
  return [
    ...LISTS.map((name) => ({
      file: `registry/${name}.json`,
      what: `the registry's ${name}`,
      read: () => get(`/v1/mesh/${name}`),
    })),
    {
      file: "registry/authorities.json",
      what: "the authority and its rotation",
      read: () => get("/v1/identity/authorities"),
    },
    {
      file: "mesh/report.json",
      what: "traffic of the whole mesh, with recent errors",
      read: () => get("/v1/mesh/sight/report"),
    },
  ];
}

/** The configuration of each host that the mesh's report names. */
export function hostParts(config: Config, report: unknown): Part[] {
  const { data } = hostNames.safeParse(report);
  const hosts = data?.hosts.slice(0, MAX_HOSTS) ?? [];
  return hosts.map(({ host }, at) => ({
    file: `hosts/${at + 1}.json`,
    what: `daemon of host ${host}: settings and snapshot`,
    read: () => {
      const path = `/v1/mesh/sight/hosts/${encodeURIComponent(host)}/config`;
      return callRegistry(config, { method: "GET", path, timeoutMs: PATIENCE_MS });
    },
  }));
}

function kernelParts(runner: Runner): Part[] {
  return KERNEL.map(([command, ...args]) => ({
    file: `kernel/${[command, ...args]
      .join("-")
      .replace(/[^\w-]/g, "")
      .replace(/-+/g, "-")}.txt`,
    what: [command, ...args].join(" "),
    read: () => runner.run(command, args),
  }));
}
