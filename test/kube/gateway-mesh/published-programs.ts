import { execFileSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { KUBE_MODULE } from "../programs.ts";

const SUITE = join(import.meta.dirname, "suite");

export interface PublishedPrograms {
  /** Gateway API's conformance tests. */
  readonly suite: string;
  /** Plays the kubelets' part of `kubectl exec`. */
  readonly exec: string;
  /** The custom resources of the same version, in YAML. */
  readonly definitions: readonly string[];
}

/** Builds what the published tests need, in the folder; minutes for the first time. */
export function buildPublished(folder: string): PublishedPrograms {
  const [suite, exec] = [join(folder, "suite.test"), join(folder, "exec")];
  go(SUITE, "test", "-c", "-mod=readonly", "-o", suite, ".");
  go(KUBE_MODULE, "build", "-mod=readonly", "-trimpath", "-o", exec, "./exec");
  const source = go(SUITE, "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").trim();
  const files = globSync(join(source, "config/crd/standard/gateway.*.yaml"));
  const texts = files.map((file) => readFileSync(file, "utf8"));
  const definitions = texts.filter((text) => /^kind: CustomResourceDefinition$/m.test(text));
  return { suite, exec, definitions };
}

function go(cwd: string, ...args: readonly string[]): string {
  const env = { CGO_ENABLED: "0", ...process.env };
  return execFileSync("go", args, { cwd, env, encoding: "utf8" });
}
