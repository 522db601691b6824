import { accessSync, constants } from "node:fs";
import { runSync } from "./shell.ts";

const TOOLS = ["ip", "iptables", "ip6tables", "ipset", "nft"];

/** May this process make network namespaces and change netfilter in them? */
export function privileged(): boolean {
  return reason() === null;
}

/**
 * For `{ skip: skipReason() }`: why a privileged test cannot run here, or false. With
 * REQUIRE_PRIVILEGED_TESTS=1 it is always false, so that the tests run and fail where they cannot.
 */
export function skipReason(): string | false {
  if (process.env["REQUIRE_PRIVILEGED_TESTS"] === "1") return false;
  return reason() ?? false;
}

/** @throws Error with the reason where `privileged()` is false. */
export function assertPrivileged(): void {
  const why = reason();
  if (why !== null) throw new Error(`privileged test: ${why}`);
}

function reason(): string | null {
  if (process.platform !== "linux") return "network namespaces need Linux";
  if (process.getuid?.() !== 0) return "network namespaces need root";
  const absent = TOOLS.filter((tool) => !isInstalled(tool));
  if (absent.length > 0) return `not installed: ${absent.join(", ")}`;
  return triedNamespace();
}

let tried: string | null | undefined;

/** Root in a container may lack CAP_SYS_ADMIN: only making a namespace tells. */
function triedNamespace(): string | null {
  if (tried !== undefined) return tried;
  const name = `hm-${process.pid}-try`;
  tried = runSync("ip", ["netns", "add", name]) ? null : "network namespaces cannot be made here";
  if (tried === null) runSync("ip", ["netns", "del", name]);
  return tried;
}

function isInstalled(tool: string): boolean {
  const folders = [...(process.env["PATH"] ?? "").split(":"), "/usr/sbin", "/sbin"];
  return folders.some((folder) => {
    try {
      accessSync(`${folder}/${tool}`, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
