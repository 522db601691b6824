import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { TestContext } from "node:test";
import { MAIN } from "../cli/run.ts";
import { until } from "../helpers/until.ts";
import { tempFolder } from "../registry/setup.ts";

/** `hostmesh registry --source kubernetes` as a process, which logs JSON; resolves when it listens. */
export async function registryProgram(
  t: TestContext,
  kubeconfig: string,
  settings: readonly string[],
  startMs?: number,
) {
  const source = ["--source", "kubernetes", "--kubeconfig", kubeconfig];
  const set = settings.flatMap((setting) => ["--set", setting]);
  const args = [MAIN, "registry", ...source, "--data", await tempFolder(t), ...set];
  const env = { PATH: process.env["PATH"] ?? "" };
  const child = spawn(process.execPath, args, { env, stdio: ["ignore", "ignore", "pipe"] });
  const exited = once(child, "exit");
  t.after(() => child.kill("SIGKILL"));
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const address = () => /"the registry listens","address":"([^"]+)"/.exec(log)?.[1] ?? "";
  await until(() => address() !== "" || child.exitCode !== null, {
    ...(startMs === undefined ? {} : { timeoutMs: startMs }),
    what: "the registry listens",
  });
  assert.notEqual(address(), "", log);
  return {
    url: `http://${address()}`,
    log: () => log,
    /** Ends it in order; resolves with its exit code and signal. */
    async stop(): Promise<unknown[]> {
      child.kill("SIGTERM");
      return exited;
    },
  };
}
