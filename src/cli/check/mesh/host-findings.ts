import { formatAge } from "../../../core/format-figures.ts";
import { HOST_NAMESPACE } from "../../../core/identity.ts";
import type { HostSummary, MeshReport } from "../../../sight/mesh-report.ts";
import { type Finding, failure, ok, warning } from "../finding.ts";

/** Leaves live for a day at most and are renewed after two thirds: what has less left was not renewed. */
const SOON_MS = 3_600_000;
/** Of a quota's limit: from here on a burst is refused. */
const NEARLY = 0.9;

/** Are all daemons there, of one version, at the newest revision, capturing, with certificates and workers that live? */
export function hostFindings({ hosts, revision, atMs }: MeshReport): Finding[] {
  const found = [
    ...hosts.flatMap((host) => stateFindings(host)),
    ...hosts.flatMap((host) => revisionFindings(host, revision)),
    ...versionFindings(hosts),
    ...hosts.flatMap((host) => healthFindings(host)),
    ...hosts.flatMap((host) => certificateFindings(host, atMs)),
    ...hosts.flatMap((host) => quotaFindings(host)),
  ];
  if (found.length > 0) return found;
  if (hosts.length === 0) return [ok("no daemon has ever connected")];
  return [ok(`all ${hosts.length} daemons report, have revision ${revision}, and are well`)];
}

function stateFindings({ host, state, version }: HostSummary): Finding[] {
  switch (state) {
    case "reporting":
      return [];
    case "gone":
      return [
        failure(
          `host ${host}: no daemon is connected`,
          `On ${host}: systemctl status hostmesh, or hostmesh check; is the host itself up?`,
        ),
      ];
    case "silent":
      return [
        warning(
          `host ${host}: its daemon is connected, but does not answer in time`,
          `On ${host}: hostmesh check, and look at the load and at the daemon's log.`,
        ),
      ];
    case "old":
      return [
        warning(
          `host ${host}: version ${version} cannot report, so nothing is known of its traffic`,
          `Upgrade the daemon of ${host}.`,
        ),
      ];
  }
}

function revisionFindings({ host, refusal, revision }: HostSummary, newest: number): Finding[] {
  if (refusal !== null) {
    return [
      failure(
        `host ${host} refused revision ${refusal.revision}: ${refusal.reason}`,
        "Correct the record that it names (hostmesh get, hostmesh apply, hostmesh rollback); until then the revision before holds there.",
      ),
    ];
  }
  if (revision === null || revision >= newest) return [];
  return [
    warning(
      `host ${host} has revision ${revision} of ${newest}`,
      `Check again in a moment; if it stays behind: hostmesh config diff ${host}, and the daemon's log.`,
    ),
  ];
}

function versionFindings(hosts: readonly HostSummary[]): Finding[] {
  const byVersion = new Map<string, string[]>();
  for (const { host, version } of hosts) {
    if (version !== "") byVersion.set(version, [...(byVersion.get(version) ?? []), host]);
  }
  if (byVersion.size < 2) return [];
  const sorted = [...byVersion].sort(([, a], [, b]) => a.length - b.length);
  const texts = sorted.map(([version, names]) => `${version} on ${named(names)}`);
  return [
    warning(`daemons of ${byVersion.size} versions: ${texts.join("; ")}`, "Finish the upgrade."),
  ];
}

function named(names: readonly string[]): string {
  return names.length <= 3 ? names.join(", ") : `${names.length} hosts`;
}

function healthFindings({ host, capture, workers }: HostSummary): Finding[] {
  const found: Finding[] = [];
  if (capture !== null && capture.mode !== "explicit" && !capture.active) {
    found.push(
      failure(
        `host ${host} captures nothing, although its mode is ${capture.mode}: its workloads go round the mesh`,
        `On ${host}: sudo hostmesh iptables check; the daemon's log says why.`,
      ),
    );
  }
  const dead = workers.filter(({ alive }) => !alive).length;
  const restarts = workers.reduce((sum, worker) => sum + worker.restarts, 0);
  if (dead > 0) {
    found.push(
      failure(
        `host ${host}: ${dead} of ${workers.length} workers are not alive`,
        `They are being replaced; if that goes on, the log of the daemon on ${host} names the reason.`,
      ),
    );
  }
  if (restarts > 0) {
    found.push(
      warning(
        `host ${host}: workers were replaced ${restarts} times since the start`,
        `The log of the daemon on ${host} names the reason of each.`,
      ),
    );
  }
  return found;
}

function certificateFindings({ host, certificates }: HostSummary, atMs: number): Finding[] {
  // Without its host's own there can be none for workloads: it has never enrolled, which may be as it is meant to be.
  const isStranger = certificates.some(
    ({ identity, state }) => state === "missing" && identity.includes(`/ns/${HOST_NAMESPACE}/`),
  );
  if (isStranger) {
    const remedy = `Give it a token of \`hostmesh identity token --host ${host}\` in identity.joinTokenFile, or set identity.mode to off.`;
    return [warning(`host ${host}: it has no identity, so it serves without mutual TLS`, remedy)];
  }
  return certificates.flatMap(({ identity, state, notAfterMs }) => {
    const left = notAfterMs === null ? null : notAfterMs - atMs;
    const remedy = `On ${host}: hostmesh check; can its daemon reach the registry's TLS port?`;
    if (state === "missing")
      return [failure(`host ${host}: no certificate for ${identity}`, remedy)];
    if (state === "expired" || (left !== null && left <= 0)) {
      return [failure(`host ${host}: the certificate of ${identity} has expired`, remedy)];
    }
    if (state === "overdue" || (left !== null && left < SOON_MS)) {
      const text = `host ${host}: the certificate of ${identity} ends in ${formatAge(left)} and is not renewed`;
      return [warning(text, remedy)];
    }
    return [];
  });
}

function quotaFindings({ host, workloads }: HostSummary): Finding[] {
  return workloads.flatMap((one) => {
    const { workload, connections, connectionLimit, inFlight, inFlightLimit, refused } = one;
    const full =
      (connectionLimit > 0 && connections >= NEARLY * connectionLimit) ||
      (inFlightLimit > 0 && inFlight >= NEARLY * inFlightLimit);
    if (!full && refused === 0) return [];
    const text = `host ${host}: workload ${workload} has ${connections} of ${connectionLimit} connections and ${inFlight} of ${inFlightLimit} requests in flight; ${refused} were refused for its quotas since the start`;
    return [
      warning(
        text,
        `hostmesh stat --host ${host} shows whom it calls; limits.workloadConnections and limits.workloadRequests are its quotas.`,
      ),
    ];
  });
}
