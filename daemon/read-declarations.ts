import { readFile } from "node:fs/promises";
import { translate } from "../src/dialects/translate.ts";
import { TranslationError } from "../src/dialects/translator.ts";
import { parseRegistration } from "../src/registry/consul-schema.ts";
import { parseInput } from "../src/registry/parse-input.ts";
import { applyBody } from "../src/registry/schema.ts";
import type { Declarations, RegistryCall } from "./declarations.ts";
import { parseDeclarations } from "./declarations.ts";

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "permission denied",
  EISDIR: "it is a folder",
};

/**
 * Reads what a file declares and checks it as the registry will, so that a mistake is found where nothing
 * has been started or changed yet. @throws Error that names the file, and the field where there is one.
 */
export async function readDeclarations(file: string, host: string): Promise<Declarations> {
  const declared = parseDeclarations(file, await read(file), host);
  for (const call of declared.apply) {
    try {
      checkCall(call, host);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`${file}: ${reason}`, { cause });
    }
  }
  for (const { resource, lineOf } of declared.resources) checkResource(file, resource, lineOf);
  return declared;
}

/** What depends on other resources (a TrafficTarget's routes) is only warned of, so that none are needed here. */
function checkResource(file: string, resource: unknown, lineOf: (path: string) => number): void {
  try {
    translate(resource, {
      ...{ rootNamespaces: [], trustDomain: "cluster.local", defaultIntention: "deny" },
      balancer: { policy: "peak-ewma", slowStartMs: 0 },
      createdMs: 0,
      about: () => [],
    });
  } catch (cause) {
    if (!(cause instanceof TranslationError)) throw cause;
    const line = lineOf(cause.issues[0]?.path ?? "");
    throw new Error(`${file}:${line}: ${cause.message}`, { cause });
  }
}

function checkCall({ path, body }: RegistryCall, host: string): void {
  if (path.startsWith("/v1/mesh/resources")) return;
  if (path === "/v1/mesh/apply") parseInput(applyBody, body);
  // The address is the one that the registry takes for a registration without any.
  else parseRegistration(body, { host, address: "127.0.0.1", replaceChecks: false });
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    throw new Error(`cannot read ${file}: ${REASONS[code] ?? code}`, { cause });
  }
}
