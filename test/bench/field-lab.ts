import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type Field, type FieldRequest, startField } from "../../bench/contestants/start-field.ts";
import { openSite, type Site } from "../../bench/lib/site.ts";
import { Workbench } from "../../bench/lib/workbench.ts";
import type { Contestant, Peer, Target, Topology } from "../../bench/model.ts";

/** Everything that a field needs, and that goes with the test. */
export interface FieldLab {
  readonly bench: Workbench;
  readonly site: Site;
  readonly configFolder: string;
  start(
    request: Pick<FieldRequest, "modes" | "peers" | "protocol" | "tls" | "upstreams"> &
      Partial<FieldRequest>,
  ): Promise<Field>;
}

export async function openFieldLab(t: TestContext, topology: Topology): Promise<FieldLab> {
  const { signal } = new AbortController();
  const configFolder = await mkdtemp(join(tmpdir(), "field-"));
  t.after(() => rm(configFolder, { recursive: true, force: true }));
  const site = await openSite(topology, { workers: 1, signal });
  t.after(() => site.close());
  const bench = await Workbench.open(signal);
  t.after(() => bench.close());
  return {
    ...{ bench, site, configFolder },
    start: (given) =>
      startField(bench, site, {
        ...{ connections: 64, workers: 1, configFolder },
        // An Envoy that is not on PATH can be tested too.
        envoyBinary: process.env["ENVOY_BINARY"] ?? null,
        ...given,
      }),
  };
}

/** The peers that every pair can be made of; each is a contestant or missing with a hint. */
export const OTHER_PEERS: readonly Peer[] = ["nginx", "haproxy", "envoy"];

/** What a service saw of a request. */
export interface Seen {
  readonly service: number;
  readonly fields: Readonly<Record<string, string>>;
}

/**
 * A service: `/N` is answered with N bytes, `/seen` with what it saw of the request, as JSON; `/wait` never.
 */
export async function startService(t: TestContext, service: number) {
  const server = createServer(({ url = "", headers }, response) => {
    if (url === "/wait") return;
    if (url !== "/seen") response.end("x".repeat(Number(url.slice(1))));
    else response.end(JSON.stringify({ service, fields: headers }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
}

/** One GET by way of a target. Status 0: there was no answer. */
export async function get(
  { host, port, authority }: Target,
  path: string,
  fields: Readonly<Record<string, string>> = {},
): Promise<{ readonly status: number; readonly body: string }> {
  const headers = { ...fields, host: authority };
  const asked = request({ host, port, path, headers, agent: false, timeout: 10_000 });
  asked.on("timeout", () => asked.destroy(new Error("no answer in time")));
  asked.end();
  try {
    const [response] = await once(asked, "response");
    let body = "";
    for await (const chunk of response) body += chunk;
    return { status: response.statusCode, body };
  } catch (error) {
    return { status: 0, body: String(error) };
  }
}

/** The contestant of this name; throws with what there is instead. */
export function named({ contestants, missing }: Field, name: string): Contestant {
  const found = contestants.find((one) => one.name === name);
  if (found !== undefined) return found;
  const names = contestants.map((one) => one.name).join("; ");
  throw new Error(`no ${name}, but ${names}, and missing ${JSON.stringify(missing)}`);
}

/** Texts of all files below a folder, by path. */
export async function textsBelow(folder: string): Promise<Map<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
  return new Map(
    await Promise.all(paths.map(async (path) => [path, await readFile(path, "utf8")] as const)),
  );
}
