import { spawnSync } from "node:child_process";
import {
  cpSync,
  globSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parse, parseAllDocuments, stringify } from "yaml";
import * as z from "zod";
import type { InstallObject } from "../../src/install/resolve.ts";
import { ROOT } from "./variants.ts";

const clientVersion = z.object({ clientVersion: z.object({ minor: z.string() }) });
const target = z.looseObject({ kind: z.string(), name: z.string() });
const kustomization = z.looseObject({
  resources: z.array(z.string()).default([]),
  patches: z.array(z.strictObject({ path: z.string(), target })).optional(),
});
const object = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), namespace: z.string().exactOptional() }),
});

function kubectlMinor(): number | undefined {
  const { status, stdout } = spawnSync("kubectl", ["version", "--client", "-o", "json"], {
    encoding: "utf8",
  });
  if (status !== 0) return undefined;
  return Number.parseInt(clientVersion.parse(JSON.parse(stdout)).clientVersion.minor, 10);
}
const minor = kubectlMinor();

/** Options of a test that renders: skipped where there is no kubectl. */
export const needsKubectl = { skip: minor === undefined ? "kubectl is not installed" : false };

const helm = process.env["HELM"] ?? "helm";
const hasHelm = spawnSync(helm, ["version", "--short"]).status === 0;

/** Options of a test that renders the chart: skipped where there is no Helm. */
export const needsHelm = {
  skip: hasHelm ? false : "helm is not installed (HELM=/path/to/helm names one)",
};

/**
 * A copy of the manifests in the words of kustomize 2, which kubectl carried before 1.21 (as Debian 12
 * still does): it called base folders `bases` and patch files with a target `patchesJson6902`.
 */
function translateForOldKubectl(): string {
  const folder = mkdtempSync(join(tmpdir(), "hostmesh-manifests-"));
  cpSync(join(ROOT, "manifests"), join(folder, "manifests"), { recursive: true });
  for (const file of globSync("**/kustomization.yaml", { cwd: folder })) {
    const path = join(folder, file);
    const isFolder = (entry: string) => statSync(join(dirname(path), entry)).isDirectory();
    const { resources, patches, ...rest } = kustomization.parse(parse(readFileSync(path, "utf8")));
    const old = {
      ...rest,
      bases: resources.filter(isFolder),
      resources: resources.filter((entry) => !isFolder(entry)),
      patchesJson6902: patches ?? [],
    };
    writeFileSync(path, stringify(old));
  }
  return folder;
}

/** What `kubectl kustomize` makes of a folder. Throws with its message where it refuses. */
export function renderKustomize(folder: string): InstallObject[] {
  const isOld = minor !== undefined && minor < 21;
  const cwd = isOld ? translateForOldKubectl() : ROOT;
  try {
    return objectsIn(output("kubectl", ["kustomize", folder], cwd));
  } finally {
    if (isOld) rmSync(cwd, { recursive: true });
  }
}

/** What `helm template` makes of these values. Throws with its message where it refuses. */
export function renderHelm(values: object, namespace = "hostmesh-system"): InstallObject[] {
  const folder = mkdtempSync(join(tmpdir(), "hostmesh-helm-"));
  try {
    const file = join(folder, "values.yaml");
    writeFileSync(file, stringify(values));
    const chart = join(ROOT, "manifests/helm/hostmesh");
    // Helm built from its module takes the cluster for an ancient one.
    const where = ["--namespace", namespace, "--kube-version", "1.33.0"];
    return objectsIn(output(helm, ["template", "hostmesh", chart, "-f", file, ...where], folder));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function output(command: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr}`);
  return stdout;
}

function objectsIn(stream: string): InstallObject[] {
  return parseAllDocuments(stream)
    .map((document): unknown => document.toJS())
    .filter((content) => content !== null)
    .map((content) => object.parse(content));
}
