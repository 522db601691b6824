import { availableParallelism, homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { ConfigError, type ConfigProblem } from "./config-error.ts";
import { type ConfigFile, readConfigFile } from "./config-file.ts";
import { describeIssues, nearest } from "./issues.ts";
import { configLeaves, envName, type Leaf } from "./leaves.ts";
import { type Config, configSchema } from "./schema.ts";

export interface LoadOptions {
  /** A YAML or JSON file. Absent: no file. */
  readonly file?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Shaped like a file; text is read as in the environment where no text is wanted. */
  readonly flags: Readonly<Record<string, unknown>>;
  /** Variables with our prefix that belong to somebody else. */
  readonly otherEnv?: readonly string[];
  /** What the machine says; for tests. */
  readonly machine?: Machine;
}

export interface Machine {
  readonly cpus: number;
  readonly isRoot: boolean;
  readonly home: string;
}

const PREFIX = "HOSTMESH_";
const MAX_WORKERS = 8;

/**
 * Settings from the file, over them the environment, over them the flags; what nobody gives has its
 * default. Every problem of every source is reported at once, as one `ConfigError`. The result is frozen;
 * `workers` and `dataDir` are resolved.
 */
export function loadConfig(options: LoadOptions): Config {
  const leaves = configLeaves().flatMap((group) => group.leaves);
  const file = options.file === undefined ? null : readConfigFile(options.file);
  const layers = [fileLayer(file), envLayer(options, leaves), flagLayer(options, leaves)];
  const problems = layers.flatMap((layer) => layer.problems);
  if (problems.length > 0) throw new ConfigError(problems);
  const merged: Tree = {};
  for (const layer of layers) {
    for (const { path } of leaves) {
      const value = valueAt(layer.tree, path);
      if (value !== undefined) setAt(merged, path, value);
    }
  }
  const config = configSchema.parse(merged);
  const clashes = crossChecks(config);
  if (clashes.length > 0) throw new ConfigError(clashes);
  const machine = options.machine ?? thisMachine();
  return deepFreeze({
    ...config,
    workers: config.workers || Math.min(machine.cpus, MAX_WORKERS),
    dataDir: config.dataDir || defaultDataDir(machine, options.env),
  });
}

type Tree = { [key: string]: unknown };

/** The settings of one source, and what is wrong with them. */
interface Layer {
  readonly tree: unknown;
  readonly problems: readonly ConfigProblem[];
}

function fileLayer(file: ConfigFile | null): Layer {
  if (file === null) return { tree: {}, problems: [] };
  return { tree: file.value, problems: describeIssues(file.value, (path) => file.where(path)) };
}

function envLayer({ env, otherEnv = [] }: LoadOptions, leaves: readonly Leaf[]): Layer {
  const tree: Tree = {};
  const unknown: ConfigProblem[] = [];
  const byName = new Map(leaves.map((leaf) => [leaf.env, leaf]));
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith(PREFIX) || value === undefined) continue;
    if (otherEnv.includes(name) || isServiceLink(name, value)) continue;
    const leaf = byName.get(name);
    if (leaf !== undefined) setAt(tree, leaf.path, fromText(leaf, value));
    else {
      const message = `there is no such setting${nearest(name, [...byName.keys()])}`;
      unknown.push({ name, where: "environment", message });
    }
  }
  const where = (path: readonly PropertyKey[]): string =>
    `environment ${nearestLeaf(path.map(String), leaves)?.env ?? envName(path.map(String))}`;
  return { tree, problems: [...unknown, ...describeIssues(tree, where)] };
}

/** The setting that a place in the tree belongs to: an item of a list is deeper than it. */
function nearestLeaf(place: readonly string[], leaves: readonly Leaf[]): Leaf | undefined {
  return leaves.find(({ path }) => path.every((part, at) => part === place[at]));
}

function flagLayer({ flags }: LoadOptions, leaves: readonly Leaf[]): Layer {
  const tree = structuredClone(flags);
  for (const leaf of leaves) {
    const value = valueAt(tree, leaf.path);
    if (typeof value === "string") setAt(tree, leaf.path, fromText(leaf, value));
  }
  return { tree, problems: describeIssues(tree, () => "command line") };
}

/**
 * Kubernetes announces a Service called `hostmesh-...` to the containers of its namespace in variables
 * that begin like ours, even as `HOSTMESH_REGISTRY_PORT=tcp://10.0.0.1:15010`.
 */
function isServiceLink(name: string, value: string): boolean {
  return (
    /^(tcp|udp|sctp):\/\//.test(value) ||
    /_SERVICE_(HOST|PORT(_.+)?)$/.test(name) ||
    /_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/.test(name)
  );
}

/** Text that is no number where one is wanted stays text, and is refused as such. */
function fromText({ kind }: Leaf, text: string): unknown {
  if (kind === "text") return text;
  if (kind === "number") return toNumber(text);
  const items = text.split(",").map((item) => item.trim());
  const given = items.length === 1 && items[0] === "" ? [] : items;
  return kind === "numbers" ? given.map(toNumber) : given;
}

function toNumber(text: string): number | string {
  return /^(-?\d{1,16}(\.\d{1,16})?|0x[0-9a-f]{1,12})$/i.test(text) ? Number(text) : text;
}

/** What no single setting is to blame for. */
function crossChecks(config: Config): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const { ports, registry, balance } = config;
  const byPort = new Map<number, string>();
  const listeners = { ...ports, registry: registry.port };
  for (const name of ["explicit", "outbound", "admin", "metrics", "ready", "registry"] as const) {
    const port = listeners[name];
    const taken = byPort.get(port);
    const full = name === "registry" ? "registry.port" : `ports.${name}`;
    if (port !== 0 && taken !== undefined) {
      problems.push({ name: full, where: "all sources", message: `${port} is ${taken} already` });
    }
    byPort.set(port, full);
  }
  const ordered = (low: string, a: number, high: string, b: number): void => {
    if (a > b)
      problems.push({ name: low, where: "all sources", message: `${a} exceeds ${high} ${b}` });
  };
  const { reconnectMinMs, reconnectMaxMs } = registry;
  ordered("registry.reconnectMinMs", reconnectMinMs, "registry.reconnectMaxMs", reconnectMaxMs);
  ordered(
    "balance.baseEjectionMs",
    balance.baseEjectionMs,
    "balance.maxEjectionMs",
    balance.maxEjectionMs,
  );
  return problems;
}

function thisMachine(): Machine {
  return {
    cpus: availableParallelism(),
    isRoot: process.getuid?.() === 0,
    home: homedir(),
  };
}

/** As the XDG Base Directory Specification says; a relative `XDG_STATE_HOME` is invalid and ignored. */
function defaultDataDir(machine: Machine, env: LoadOptions["env"]): string {
  if (machine.isRoot) return "/var/lib/hostmesh";
  const state = env["XDG_STATE_HOME"];
  const base =
    state !== undefined && isAbsolute(state) ? state : join(machine.home, ".local", "state");
  return join(base, "hostmesh");
}

function isTree(value: unknown): value is Tree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function valueAt(tree: unknown, path: readonly string[]): unknown {
  let at = tree;
  for (const part of path) at = isTree(at) && Object.hasOwn(at, part) ? at[part] : undefined;
  return at;
}

function setAt(tree: Tree, path: readonly string[], value: unknown): void {
  const [first = "", ...rest] = path;
  if (rest.length === 0) {
    tree[first] = value;
    return;
  }
  const inner = tree[first];
  const branch = isTree(inner) ? inner : {};
  tree[first] = branch;
  setAt(branch, rest, value);
}

function deepFreeze<T extends object>(value: T): T {
  for (const inner of Object.values(value)) {
    if (typeof inner === "object" && inner !== null) deepFreeze(inner);
  }
  return Object.freeze(value);
}
