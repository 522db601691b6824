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

/** The project's folder. */
export const ROOT = join(import.meta.dirname, "../..");

/** The folders that a user may render: the base and every overlay. */
export const KUSTOMIZATIONS = globSync("manifests/{base,overlays/*}/kustomization.yaml", {
  cwd: ROOT,
})
  .map(dirname)
  .sort();

const kubeObject = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string().optional(),
    labels: z.record(z.string(), z.string()).default({}),
  }),
});
/** One rendered object; what is below `metadata` is checked against its schema by `schema.test.ts`. */
export type KubeObject = z.infer<typeof kubeObject>;

const clientVersion = z.object({ clientVersion: z.object({ minor: z.string() }) });
const kustomization = z.looseObject({
  resources: z.array(z.string()).default([]),
  patches: z.array(z.strictObject({ path: z.string() })).optional(),
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

/**
 * A copy of the manifests in the words of kustomize 2, which kubectl carried before 1.21 (as Debian 12
 * still does): it called base folders `bases` and patch files `patchesStrategicMerge`.
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
      patchesStrategicMerge: patches?.map((patch) => patch.path) ?? [],
    };
    writeFileSync(path, stringify(old));
  }
  return folder;
}

/** What `kubectl kustomize` makes of a folder. Throws with its message where it refuses. */
export function render(folder: string): KubeObject[] {
  const isOld = minor !== undefined && minor < 21;
  const cwd = isOld ? translateForOldKubectl() : ROOT;
  try {
    const { status, stdout, stderr } = spawnSync("kubectl", ["kustomize", folder], {
      cwd,
      encoding: "utf8",
    });
    if (status !== 0 || stderr !== "") throw new Error(`kubectl kustomize ${folder}: ${stderr}`);
    return parseAllDocuments(stdout).map((document) => kubeObject.parse(document.toJS()));
  } finally {
    if (isOld) rmSync(cwd, { recursive: true });
  }
}
