import { isIP } from "node:net";
import type {
  BalancerConfig,
  Change,
  Endpoint,
  MeshHost,
  Service,
  Workload,
} from "../src/core/model.ts";
import { BALANCER_POLICIES, keyOf } from "../src/core/model.ts";
import type { Policy } from "../src/core/policy.ts";
import type { ClientScope, RouteTable, TrafficPolicy } from "../src/core/traffic.ts";

const POLICY_KINDS: ReadonlySet<string> = new Set<Policy["kind"]>([
  "peer",
  "authorization",
  "intentions",
  "request-authentication",
]);

const KINDS: ReadonlySet<string> = new Set<Change["kind"]>([
  ...(["service", "endpoint", "workload", "host", "trust"] as const),
  ...(["policy", "route", "traffic", "scope"] as const),
]);

/** A record that the data path cannot take. The message begins with the path of the bad field. */
export class InvalidChange extends Error {
  readonly path: string;

  constructor(path: string, reason: string) {
    super(`${path}: ${reason}`);
    this.name = "InvalidChange";
    this.path = path;
  }
}

/**
 * Refuses a change that would break the compiled form. The registry has validated its records already;
 * this is the daemon's own guard against a registry of another version, and it runs before anything is
 * changed. Throws {@link InvalidChange}.
 */
export function validateChange(change: Change): void {
  const at = `${change.kind} ${change.key}`;
  if (typeof change.key !== "string" || change.key === "") throw new InvalidChange(at, "empty key");
  if (!KINDS.has(change.kind)) throw new InvalidChange(at, "unknown kind of record");
  if (change.value === null) return;
  switch (change.kind) {
    case "service":
      validateService(at, change.key, change.value);
      return;
    case "endpoint":
      validateEndpoint(at, change.key, change.value);
      return;
    case "workload":
      validateWorkload(at, change.key, change.value);
      return;
    case "host":
      validateHost(at, change.key, change.value);
      return;
    case "policy":
      validatePolicy(at, change.value);
      return;
    case "route":
      validateRoute(at, change.value);
      return;
    case "traffic":
      validateTraffic(at, change.value);
      return;
    case "scope":
      validateScope(at, change.value);
      return;
    case "trust":
      return;
  }
}

function validatePolicy(at: string, { kind }: Policy): void {
  if (!POLICY_KINDS.has(kind)) throw new InvalidChange(`${at}.kind`, `unknown kind ${kind}`);
}

function validateScope(at: string, { egress }: ClientScope): void {
  if (egress !== null) validateList(`${at}.egress`, egress);
}

function validateService(at: string, key: string, service: Service): void {
  if (keyOf(service) !== key) throw new InvalidChange(`${at}.name`, `key is ${keyOf(service)}`);
  validateAddresses(`${at}.addresses`, service.addresses);
  const names = new Set<string>();
  for (const [index, port] of service.ports.entries()) {
    validatePort(`${at}.ports[${index}].port`, port.port);
    if (names.has(port.name)) {
      throw new InvalidChange(`${at}.ports[${index}].name`, `"${port.name}" is there twice`);
    }
    names.add(port.name);
  }
  validateBalancer(`${at}.balancer`, service.balancer);
}

function validateBalancer(at: string, { policy }: BalancerConfig): void {
  if (!BALANCER_POLICIES.includes(policy)) {
    throw new InvalidChange(`${at}.policy`, `unknown policy ${policy}`);
  }
}

/** What the rules mean is the workers' matter, who leave out what they do not understand. */
function validateRoute(at: string, table: RouteTable): void {
  if (table.protocol !== "http" && table.protocol !== "tcp") {
    throw new InvalidChange(`${at}.protocol`, `unknown protocol ${String(table.protocol)}`);
  }
  validateList(`${at}.services`, table.services);
  validateList(`${at}.rules`, table.rules);
  if (table.clients !== null) validateList(`${at}.clients`, table.clients);
  if (table.port !== undefined) validatePort(`${at}.port`, table.port);
  if (!Number.isFinite(table.rank)) throw new InvalidChange(`${at}.rank`, "is no number");
}

function validateTraffic(at: string, policy: TrafficPolicy): void {
  if (typeof policy.service !== "string" || policy.service === "") {
    throw new InvalidChange(`${at}.service`, "empty");
  }
  if (policy.clients !== null) validateList(`${at}.clients`, policy.clients);
  validateList(`${at}.subsets`, policy.subsets);
  const { balancer } = policy.settings;
  if (balancer !== undefined) validateBalancer(`${at}.settings.balancer`, balancer);
}

function validateList(path: string, list: unknown): void {
  if (!Array.isArray(list)) throw new InvalidChange(path, "is not a list");
}

function validateEndpoint(at: string, key: string, endpoint: Endpoint): void {
  if (endpoint.id !== key) throw new InvalidChange(`${at}.id`, `is ${endpoint.id}`);
  if (typeof endpoint.service !== "string" || endpoint.service === "") {
    throw new InvalidChange(`${at}.service`, "empty");
  }
  if (typeof endpoint.address !== "string" || endpoint.address === "") {
    throw new InvalidChange(`${at}.address`, "empty");
  }
  validatePort(`${at}.port`, endpoint.port);
  if (!Number.isInteger(endpoint.weight) || endpoint.weight < 0 || endpoint.weight > 65_535) {
    throw new InvalidChange(`${at}.weight`, `${endpoint.weight} is not 0 to 65535`);
  }
  if (!["passing", "warning", "critical"].includes(endpoint.health)) {
    throw new InvalidChange(`${at}.health`, `unknown state ${endpoint.health}`);
  }
}

function validateWorkload(at: string, key: string, workload: Workload): void {
  if (keyOf(workload) !== key) throw new InvalidChange(`${at}.name`, `key is ${keyOf(workload)}`);
  validateAddresses(`${at}.addresses`, workload.addresses);
}

function validateHost(at: string, key: string, host: MeshHost): void {
  if (host.name !== key) throw new InvalidChange(`${at}.name`, `is ${host.name}`);
  validateAddresses(`${at}.address`, [host.address]);
  validatePort(`${at}.meshPort`, host.meshPort);
}

function validateAddresses(path: string, addresses: readonly string[]): void {
  if (!Array.isArray(addresses)) throw new InvalidChange(path, "is not a list");
  for (const [index, address] of addresses.entries()) {
    if (typeof address !== "string" || isIP(address) === 0) {
      throw new InvalidChange(`${path}[${index}]`, `"${String(address)}" is no IP address`);
    }
  }
}

function validatePort(path: string, port: number): void {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new InvalidChange(path, `${port} is not 1 to 65535`);
  }
}
