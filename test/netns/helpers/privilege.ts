import { accessSync, constants } from "node:fs";
import { runSync } from "./shell.ts";

const TOOLS = ["ip", "iptables", "ip6tables", "ipset", "nft"];

/** May this process make network namespaces and change netfilter in them? */
export function privileged(): boolean {
  return reason() === null;
}

/**
 * For `{ skip: skipReason() }`: why a privileged test, which may need further commands, cannot run here, or
 * false. With REQUIRE_PRIVILEGED_TESTS=1 it is always false: the tests then run, and fail where they cannot.
 */
export function skipReason(...commands: readonly string[]): string | false {
  if (process.env["REQUIRE_PRIVILEGED_TESTS"] === "1") return false;
  return reason() ?? absence(commands) ?? false;
}

/** @throws Error with the reason where `privileged()` is false. */
export function assertPrivileged(): void {
  const why = reason();
  if (why !== null) throw new Error(`privileged test: ${why}`);
}

function reason(): string | null {
  if (process.platform !== "linux") return "network namespaces need Linux";
  if (process.getuid?.() !== 0) return "network namespaces need root";
  return absence(TOOLS) ?? triedNamespace();
}

function absence(commands: readonly string[]): string | null {
  const absent = commands.filter((command) => !isInstalled(command));
  return absent.length === 0 ? null : `not installed: ${absent.join(", ")}`;
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
