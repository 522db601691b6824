import { globSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parseAllDocuments } from "yaml";
import { identify, translate } from "../../src/dialects/translate.ts";
import {
  type ClusterRules,
  type TranslationContext,
  TranslationError,
} from "../../src/dialects/translator.ts";

const FOLDER = join(import.meta.dirname, "golden");

export interface Golden {
  readonly name: string;
  readonly resources: readonly Record<string, unknown>[];
  readonly expected: unknown;
}

/**
 * Resources as users write them, and what must become of them. After a change `node test/dialects/golden.ts --write`,
 * with or without the names of some.
 */
export function goldens(): Golden[] {
  return globSync("*.yaml", { cwd: FOLDER })
    .sort()
    .map((file) => ({
      name: basename(file, ".yaml"),
      // By way of JSON, so that what was written by an alias is a thing of its own.
      resources: parseAllDocuments(readFileSync(join(FOLDER, file), "utf8")).map((document) =>
        JSON.parse(JSON.stringify(document.toJS())),
      ),
      expected: JSON.parse(readText(join(FOLDER, file.replace(/yaml$/, "json"))) ?? "null"),
    }));
}

function readText(file: string): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return null;
  }
}

/** Of files whose name ends with `-cluster`: they come from an API server. */
const CLUSTER = { enrol: "labelled", recogniseLabels: [], meshNamespace: "mesh" } as const;

/** A mesh that holds these resources, of which each is a second younger than the one before. */
function contextOf(
  resources: readonly unknown[],
  index: number,
  cluster: ClusterRules | undefined,
): TranslationContext {
  return {
    ...(cluster === undefined ? {} : { cluster }),
    rootNamespaces: ["istio-system"],
    trustDomain: "mesh.example",
    defaultIntention: "deny",
    balancer: { policy: "peak-ewma", slowStartMs: 10_000 },
    createdMs: index * 1_000,
    about: (topic) =>
      resources.flatMap((resource, age) => {
        const { key, content, version, translator } = identify(resource);
        const isAbout = translator.provides(content, version).includes(topic);
        return isAbout ? [{ key, content, createdMs: age * 1_000 }] : [];
      }),
  };
}

/** What becomes of a resource among others, as JSON: its translation, or why it is refused. */
export function outcomeOf(
  resource: unknown,
  among: readonly unknown[] = [resource],
  index = 0,
  cluster?: ClusterRules,
): unknown {
  try {
    return JSON.parse(JSON.stringify(translate(resource, contextOf(among, index, cluster))));
  } catch (error) {
    if (!(error instanceof TranslationError)) throw error;
    return { refused: error.issues };
  }
}

export function outcomesOf({ name, resources }: Golden): unknown[] {
  const cluster = name.endsWith("-cluster") ? CLUSTER : undefined;
  return resources.map((resource, index) => outcomeOf(resource, resources, index, cluster));
}

if (import.meta.main && process.argv.includes("--write")) {
  const names = process.argv.slice(process.argv.indexOf("--write") + 1);
  for (const golden of goldens()) {
    if (names.length > 0 && !names.includes(golden.name)) continue;
    const file = join(FOLDER, `${golden.name}.json`);
    writeFileSync(file, `${JSON.stringify(outcomesOf(golden), null, 2)}\n`);
  }
}
