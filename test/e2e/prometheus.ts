import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import * as z from "zod";
import { freePort } from "../../daemon/free-port.ts";
import { until } from "../helpers/until.ts";

/** Why tests with a Prometheus cannot run here, or false. */
export const skipPrometheus =
  spawnSync("prometheus", ["--version"]).error !== undefined &&
  "no prometheus is there (Debian package prometheus)";

const answer = z.object({
  status: z.literal("success"),
  data: z.object({
    resultType: z.enum(["vector", "scalar"]),
    result: z.array(z.unknown()),
  }),
});

/** A Prometheus of the test's own. */
export interface Prometheus {
  /** Series that a query finds now; throws where Prometheus does not take it. */
  query(expr: string): Promise<unknown[]>;
}

export interface PrometheusOptions {
  readonly folder: string;
  /** Ports of loopback that are scraped twice a second. */
  readonly targets: readonly number[];
  readonly ruleFile: string;
}

/** Starts it on loopback; it ends with the test. */
export async function startPrometheus(
  t: TestContext,
  { folder, targets, ruleFile }: PrometheusOptions,
): Promise<Prometheus> {
  const port = await freePort("127.0.0.1", 0);
  const data = join(folder, "prometheus");
  await mkdir(data, { recursive: true });
  const config = join(data, "prometheus.json");
  const static_configs = [{ targets: targets.map((target) => `127.0.0.1:${target}`) }];
  await writeFile(
    config,
    JSON.stringify({
      global: { scrape_interval: "500ms", evaluation_interval: "500ms" },
      rule_files: [ruleFile],
      scrape_configs: [{ job_name: "hostmesh", static_configs }],
    }),
  );
  const child = spawn(
    "prometheus",
    [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(data, "tsdb")}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--log.level=error",
    ],
    { stdio: ["ignore", "ignore", "inherit"] },
  );
  const exited = once(child, "exit");
  t.after(async () => {
    child.kill("SIGKILL");
    await exited;
  });
  const base = `http://127.0.0.1:${port}`;
  const isReady = () =>
    fetch(`${base}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
  await until(isReady, { timeoutMs: 20_000, what: "Prometheus" });
  return {
    async query(expr) {
      const body = new URLSearchParams({ query: expr });
      const response = await fetch(`${base}/api/v1/query`, { method: "POST", body });
      const text = await response.text();
      assert.ok(response.ok, `${expr}: ${text}`);
      return answer.parse(JSON.parse(text)).data.result;
    },
  };
}
