import { canonicalAddress, isLoopback } from "../../core/address.ts";

/** Where a dashboard is served, and what guards it; files that are not given are empty. */
export interface DashboardPlace {
  readonly bind: string;
  readonly usersFile: string;
  readonly tlsCertFile: string;
  readonly tlsKeyFile: string;
}

/**
 * Why such a dashboard must not be served; null: nothing. What whoever reaches it may change is for this host alone, and
 * tokens and cookies do not go over a network in the clear.
 */
export function dashboardDanger(
  place: DashboardPlace,
): { readonly message: string; readonly remedy: string } | null {
  const { bind, usersFile, tlsCertFile, tlsKeyFile } = place;
  if ((tlsCertFile === "") !== (tlsKeyFile === "")) {
    const message = "dashboard.tlsCertFile and dashboard.tlsKeyFile belong together";
    return { message, remedy: "give both, or none" };
  }
  if (isLoopback(canonicalAddress(bind)) || (usersFile !== "" && tlsCertFile !== "")) return null;
  const missing = [
    ...(usersFile === "" ? ["dashboard.usersFile (see `hostmesh dashboard user`)"] : []),
    ...(tlsCertFile === "" ? ["dashboard.tlsCertFile and tlsKeyFile"] : []),
  ];
  return {
    message: `the dashboard at ${bind} can be reached from other hosts: it needs logins and TLS`,
    remedy: `set ${missing.join(", and ")}, or leave dashboard.bind on loopback`,
  };
}
