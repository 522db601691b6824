import { readFile } from "node:fs/promises";
import { parseAllDocuments } from "yaml";
import { CliError, EXIT } from "./cli-error.ts";
import type { RegistryCall } from "./registry.ts";

/**
 * What a file registers, as calls of the registry. It holds YAML (several documents are fine) or JSON, each a
 * Consul service definition (`service: {...}`, `services: [...]` or the bare body of a registration), or
 * hostmesh's own form with `services`, `endpoints` and `workloads`, which is applied as one step.
 */
export async function registrationFile(file: string): Promise<RegistryCall[]> {
  const calls: RegistryCall[] = [];
  for (const document of parseAllDocuments(await read(file))) {
    const [problem] = document.errors;
    if (problem !== undefined) {
      throw new CliError(`${file}: ${problem.message}`, { exitCode: EXIT.usage, cause: problem });
    }
    const content: unknown = document.toJS();
    if (content !== null) calls.push(...callsOf(content, file));
  }
  if (calls.length === 0) {
    throw new CliError(`${file} registers nothing`, {
      exitCode: EXIT.usage,
      remedy: "it needs a service definition, or a list of services, endpoints or workloads",
    });
  }
  return calls;
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file === "-" ? "/dev/stdin" : file, "utf8");
  } catch (cause) {
    const why = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    throw new CliError(`cannot read ${file}: ${why}`, { exitCode: EXIT.usage, cause });
  }
}

function callsOf(content: unknown, file: string): RegistryCall[] {
  if (!isRecord(content)) {
    throw new CliError(`${file}: expected a mapping, not ${JSON.stringify(content)}`, {
      exitCode: EXIT.usage,
    });
  }
  if (isRecord(content["service"])) return [consul(content["service"])];
  if ("name" in content || "Name" in content) return [consul(content)];
  const services = content["services"];
  if (Array.isArray(services) && services.some(isConsul)) return services.map(consul);
  return [{ method: "POST", path: "/v1/mesh/apply", body: content }];
}

/** A service of our own model has `ports`, an instance as Consul defines it has one `port`. */
function isConsul(service: unknown): boolean {
  return isRecord(service) && ("port" in service || "Port" in service);
}

function consul(body: unknown): RegistryCall {
  return { method: "PUT", path: "/v1/agent/service/register", body };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
