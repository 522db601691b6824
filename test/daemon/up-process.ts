import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import * as z from "zod";
import type { ConfigInput } from "../../src/config/schema.ts";
import { until } from "../helpers/until.ts";

const script = fileURLToPath(new URL("./fixture-up.ts", import.meta.url));
/** Why these tests cannot run here, or false. */
export const skip = process.platform !== "linux" && "reads /proc";

const readyLine = z.looseObject({
  message: z.literal("ready"),
  registry: z.string(),
  admin: z.number(),
  ready: z.number(),
  metrics: z.number(),
  registryMetrics: z.number().nullable(),
  explicit: z.number(),
});
const pathLine = z.looseObject({ message: z.literal("data path ready"), pid: z.number() });

/** `hostmesh up` in a process of its own. */
export interface Up {
  readonly child: ChildProcess;
  readonly lines: string[];
  readonly exited: Promise<number | null>;
  /** Facts of the line that says that everything serves. */
  ready(): Promise<z.infer<typeof readyLine>>;
  /** Process ids of the generations, the newest last. */
  generations(): number[];
}

/** A folder that goes when the `up` that uses it has ended. */
export function temporary(): Promise<string> {
  return mkdtemp(join(tmpdir(), "hostmesh-up-"));
}

/** Starts `hostmesh up` on free ports. It is ended with its generations when the test is over. */
export function up(
  t: TestContext,
  dataDir: string,
  files: string[] = [],
  more: ConfigInput = {},
): Up {
  const config: ConfigInput = {
    host: "node-a",
    workers: 1,
    dataDir,
    capture: { mode: "explicit" },
    ports: { explicit: 0, admin: 0, metrics: 0, ready: 0, metricsBind: "127.0.0.1" },
    registry: { port: 0, tlsPort: 0, metricsPort: 0, metricsBind: "127.0.0.1" },
    mesh: { port: 0, inboundPort: 0 },
    dashboard: { port: 0 },
    timeouts: { drainMs: 3_000, warmUpMs: 0 },
    telemetry: { logFormat: "json" },
    ...more,
  };
  const child = spawn(process.execPath, [script, JSON.stringify(config), ...files], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  const exited = once(child, "exit").then(([code]) => (typeof code === "number" ? code : null));
  const parsed = () =>
    lines.filter((line) => line.startsWith("{")).map((line): unknown => JSON.parse(line));
  const generations = () =>
    parsed().flatMap((line) => {
      const found = pathLine.safeParse(line);
      return found.success ? [found.data.pid] : [];
    });
  t.after(async () => {
    child.kill("SIGKILL");
    await exited;
    // A generation ends by itself when its guardian is gone; nothing may outlive the test.
    await until(() => generations().every((pid) => !runs(pid)), { timeoutMs: 10_000 });
    await rm(dataDir, { recursive: true, force: true });
  });
  return {
    child,
    lines,
    exited,
    generations,
    async ready() {
      let found: z.infer<typeof readyLine> | undefined;
      await until(
        () => {
          found = parsed().flatMap((line) => readyLine.safeParse(line).data ?? [])[0];
          return found !== undefined || child.exitCode !== null;
        },
        { timeoutMs: 30_000, what: "the start" },
      );
      assert(found !== undefined, lines.join("\n"));
      return found;
    },
  };
}

/** Does a process of this id run? One that has ended and waits to be reaped by init does not. */
export function runs(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    assert(["ENOENT", "ESRCH"].includes(code), code);
    return false;
  }
}

/** A server that says hello after a while; resolves with its port. */
export async function upstream(t: TestContext, delayMs = 0): Promise<number> {
  const server = createServer((_, response) => {
    setTimeout(() => response.end("hello"), delayMs).unref();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.closeAllConnections());
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** One request through the explicit proxy port, on a connection of its own; resolves with the status. */
export function get(port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, headers: { host }, agent: false });
    sent.setTimeout(5_000, () => sent.destroy(new Error("no answer in 5 s")));
    sent.on("error", reject);
    sent.on("response", (response) => {
      response.on("error", reject);
      response.on("end", () => resolve(response.statusCode ?? 0));
      response.resume();
    });
    sent.end();
  });
}
