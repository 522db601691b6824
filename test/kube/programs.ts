import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { skipReason } from "../netns/helpers/privilege.ts";

/**
 * kube-apiserver, kube-controller-manager and kube-proxy, built from the module in `apiserver/` and kept outside of the
 * tree. `node test/kube/programs.ts` builds them: minutes, once for each go.sum. Tests only look whether they are there.
 * Exit code 3: Go or the module cannot be had here; 1: they can, and the build failed.
 */

/** Where the programs' sources are. */
export const KUBE_MODULE = join(import.meta.dirname, "apiserver");
const NAMES = ["kube-apiserver", "kube-controller-manager", "kube-proxy"];
const KUBERNETES = "v1.33.13";
/** A build on two busy CPUs takes about ten minutes. */
const BUILD_TIMEOUT_MS = 45 * 60_000;

/** With this in a reason for a skip, a run that demands privileged tests goes on: see test/run.ts. */
export const CANNOT_BE_BUILT = "Kubernetes is not built here";

/** Where the programs are, or would be. */
export function programFolder(): string {
  const key = createHash("sha256");
  for (const file of ["go.sum", "go.mod", "main.go"])
    key.update(readFileSync(join(KUBE_MODULE, file)));
  const { XDG_CACHE_HOME = "" } = process.env;
  const cache = XDG_CACHE_HOME === "" ? join(homedir(), ".cache") : XDG_CACHE_HOME;
  return join(cache, "hostmesh-test", `kubernetes-${key.digest("hex").slice(0, 16)}`);
}

/** For `{ skip: kubeSkipReason() }`: why a test that needs a real cluster cannot run here, or false. */
export function kubeSkipReason(...commands: readonly string[]): string | false {
  const why = skipReason("etcd", "openssl", ...commands);
  if (why !== false) return why;
  if (existsSync(join(programFolder(), "kube-apiserver"))) return false;
  return `${CANNOT_BE_BUILT}: \`node test/kube/programs.ts\` builds it, with Go and some minutes`;
}

/** The go command's exit code is lost, but it has said why. */
function go(args: readonly string[]): void {
  const env = { CGO_ENABLED: "0", ...process.env };
  execFileSync("go", args, { cwd: KUBE_MODULE, stdio: "inherit", timeout: BUILD_TIMEOUT_MS, env });
}

/** @throws Error where the build fails. */
function build(folder: string): void {
  const unfinished = `${folder}.${process.pid}`;
  mkdirSync(unfinished, { recursive: true });
  try {
    const version = `-X k8s.io/component-base/version.gitVersion=${KUBERNETES}`;
    const flags = ["-mod=readonly", "-trimpath", `-ldflags=-s -w ${version}`];
    go(["build", ...flags, "-o", join(unfinished, "kube"), "."]);
    for (const name of NAMES) symlinkSync("kube", join(unfinished, name));
    renameSync(unfinished, folder);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
}

function isAvailable(): boolean {
  try {
    go(["mod", "download"]);
    return true;
  } catch (error) {
    console.error(`${CANNOT_BE_BUILT}: ${error instanceof Error ? error.message : error}`);
    return false;
  }
}

function main(): number {
  const folder = programFolder();
  if (existsSync(join(folder, "kube-apiserver"))) return 0;
  if (!isAvailable()) return 3;
  try {
    build(folder);
    return 0;
  } catch {
    return 1;
  }
}

if (import.meta.main) process.exitCode = main();
