import type { Translator } from "../../dialects/translator.ts";
import { translators } from "../../dialects/translators.ts";

/** A kind of a custom resource that is followed where it is installed. */
export interface WantedKind {
  readonly group: string;
  readonly kind: string;
  /** Those that are understood, the best one first. */
  readonly versions: readonly string[];
}

/** What a cluster may have installed. Consul's entries stay Consul's matter: it keeps them itself. */
const DIALECTS: readonly Translator["dialect"][] = ["Istio", "SMI", "Gateway API", "Linkerd"];

/** Every custom resource that can be translated. */
export function wantedKinds(): readonly WantedKind[] {
  return translators
    .filter(({ dialect }) => DIALECTS.includes(dialect))
    .map(({ group, kind, forms }) => ({
      ...{ group, kind },
      versions: forms.flatMap(({ versions }) => versions).sort(byPriority),
    }));
}

const VERSION = /^v(\d+)(?:(alpha|beta)(\d+))?$/;
const STAGES = ["alpha", "beta", undefined];

/**
 * Kubernetes' order of the versions of a kind: stable before beta before alpha, and the later before the earlier
 * (k8s.io/apimachinery, version.CompareKubeAwareVersionStrings).
 */
export function byPriority(a: string, b: string): number {
  const [, aMajor = "0", aStage, aMinor = "0"] = VERSION.exec(a) ?? [];
  const [, bMajor = "0", bStage, bMinor = "0"] = VERSION.exec(b) ?? [];
  const stages = STAGES.indexOf(bStage) - STAGES.indexOf(aStage);
  return stages || Number(bMajor) - Number(aMajor) || Number(bMinor) - Number(aMinor);
}
