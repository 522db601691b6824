import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { processClock } from "../../src/core/clock.ts";
import { RegistryClient } from "../../src/registry/client.ts";
import type { RegistryClientOptions } from "../../src/registry/client-options.ts";
import type { Log } from "../../src/registry/log.ts";
import type { RegistryOptions, RunningRegistry } from "../../src/registry/registry.ts";
import { startTestRegistry } from "../helpers/registry.ts";

export interface LogLine {
  readonly level: keyof Log;
  readonly message: string;
  readonly facts: Record<string, unknown> | undefined;
}

/** A log that keeps its lines. */
export function keepingLog(): Log & { readonly lines: LogLine[] } {
  const lines: LogLine[] = [];
  const at = (level: keyof Log) => (message: string, facts?: Record<string, unknown>) => {
    lines.push({ level, message, facts });
  };
  return { lines, debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

export async function tempFolder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "hostmesh-registry-"));
  // Something of a test that failed may still write there.
  t.after(() => rm(path, { recursive: true, force: true, maxRetries: 5 }));
  return path;
}

export async function testRegistry(
  t: TestContext,
  options: Partial<RegistryOptions> = {},
): Promise<RunningRegistry> {
  const registry = await startTestRegistry({
    dataDir: options.dataDir ?? (await tempFolder(t)),
    host: "h1",
    log: keepingLog(),
    random: () => 0.5,
    ...options,
  });
  t.after(() => registry.close());
  return registry;
}

/** A client that keeps what it is told as a map, exactly as a daemon would. */
export async function testClient(
  t: TestContext,
  urls: readonly string[],
  options: Partial<RegistryClientOptions> = {},
) {
  const records = new Map<string, unknown>();
  const updates: { revision: number; full: boolean; changes: number }[] = [];
  const client = new RegistryClient({
    urls,
    host: "h1",
    zone: "z1",
    version: "test",
    snapshotPath: join(await tempFolder(t), "snapshot.json"),
    reconnectMinMs: 10,
    reconnectMaxMs: 50,
    clock: processClock,
    random: () => 0.5,
    log: keepingLog(),
    onUpdate(changes, revision, full) {
      if (full) records.clear();
      for (const { kind, key, value } of changes) {
        if (value === null) records.delete(`${kind} ${key}`);
        else records.set(`${kind} ${key}`, value);
      }
      updates.push({ revision, full, changes: changes.length });
    },
    onChecks: () => {},
    ...options,
  });
  t.after(() => client.stop());
  return { client, records, updates };
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly index: number;
}

/** The value at a dotted path inside JSON: `dig(body, "0.Service.Port")`. */
export function dig(value: unknown, path: string): unknown {
  let found = value;
  for (const part of path.split(".")) {
    if (typeof found !== "object" || found === null) return undefined;
    found = new Map<string, unknown>(Object.entries(found)).get(part);
  }
  return found;
}

/** One request with fetch; the body as JSON unless it is a string already. */
export async function call(
  registry: { readonly url: string },
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(`${registry.url}${path}`, {
    method,
    headers,
    // A query that hangs must fail its test and not outlast it.
    signal: AbortSignal.timeout(20_000),
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    body: text === "" ? null : JSON.parse(text),
    index: Number(response.headers.get("x-consul-index")),
  };
}
