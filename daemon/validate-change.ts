import { isIP } from "node:net";
import type { Change, Endpoint, MeshHost, Service, Workload } from "../src/core/model.ts";
import { BALANCER_POLICIES, keyOf } from "../src/core/model.ts";
import type { Policy } from "../src/core/policy.ts";

const POLICY_KINDS: ReadonlySet<string> = new Set<Policy["kind"]>([
  "peer",
  "authorization",
  "intentions",
  "request-authentication",
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
  switch (change.kind) {
    case "service":
      if (change.value !== null) validateService(at, change.key, change.value);
      return;
    case "endpoint":
      if (change.value !== null) validateEndpoint(at, change.key, change.value);
      return;
    case "workload":
      if (change.value !== null) validateWorkload(at, change.key, change.value);
      return;
    case "host":
      if (change.value !== null) validateHost(at, change.key, change.value);
      return;
    case "policy":
      if (change.value !== null && !POLICY_KINDS.has(change.value.kind)) {
        throw new InvalidChange(`${at}.kind`, `unknown kind ${change.value.kind}`);
      }
      return;
    case "trust":
      return;
    default:
      throw new InvalidChange(String(at), "unknown kind of record");
  }
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
  if (!BALANCER_POLICIES.includes(service.balancer.policy)) {
    throw new InvalidChange(`${at}.balancer.policy`, `unknown policy ${service.balancer.policy}`);
  }
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
