import type { Config } from "../../../config/schema.ts";
import { wallClock } from "../../../core/clock.ts";
import { analyze } from "../../analyze/analyze.ts";
import type { Finding as AnalysisFinding } from "../../analyze/codes.ts";
import { analysisSettings, readHoldings } from "../../analyze/registry-side.ts";
import { type Finding, failure, ok, warning } from "../finding.ts";

const NAMED = 20;

interface Trouble {
  /** `Kind namespace/name`. */
  readonly label: string;
  readonly path: string;
  readonly message: string;
  readonly isError: boolean;
  readonly remedy: string;
}

/**
 * What is wrong with the resources that are applied: what the registry warns of, and what `hostmesh analyze` finds among
 * them, such as routes to what nobody defines.
 */
export async function resourceFindings(config: Config): Promise<Finding[]> {
  const holdings = await readHoldings(config);
  const warned = holdings.resources.flatMap(({ kind, namespace, name, warnings }) => {
    const label = `${kind} ${namespace}/${name}`;
    const goBack = `hostmesh rollback ${kind} ${name} -n ${namespace} goes back`;
    const remedy = `hostmesh get ${kind} ${name} -n ${namespace} -o yaml; hostmesh analyze; ${goBack}.`;
    return warnings.map(
      ({ path, message }): Trouble => ({ label, path, message, isError: false, remedy }),
    );
  });
  const said = new Set(warned.map(({ label, message }) => `${label} ${message}`));
  const settings = analysisSettings(config);
  const nowMs = wallClock.now();
  const analyzed = analyze({ given: [], holdings, judgesHoldings: true, settings, nowMs })
    .filter(
      ({ level, resource, message }) => level !== "info" && !said.has(`${resource} ${message}`),
    )
    .map(troubleOf);
  const troubles = [
    ...analyzed.filter(({ isError }) => isError),
    ...warned,
    ...analyzed.filter(({ isError }) => !isError),
  ];
  if (troubles.length === 0)
    return [ok(`${holdings.resources.length} resources, none with warnings`)];
  const findings = troubles
    .slice(0, NAMED)
    .map(({ label, path, message, isError, remedy }) =>
      (isError ? failure : warning)(
        `${label}: ${path === "" ? "" : `${path}: `}${message}`,
        remedy,
      ),
    );
  const left = troubles.length - findings.length;
  if (left > 0) findings.push(warning(`${left} more are found in resources`, "hostmesh analyze"));
  return findings;
}

function troubleOf({ resource, path, message, level, code, remedy }: AnalysisFinding): Trouble {
  const isError = level === "error";
  return {
    label: resource,
    path,
    message,
    isError,
    remedy: `${remedy} (hostmesh analyze: ${code}).`,
  };
}
