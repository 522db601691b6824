import { lchownSync, lstatSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../src/config/schema.ts";
import { StartError } from "./start-error.ts";

/** Whom the generation runs as, where that is not whoever started the daemon. */
export interface DataPathUser {
  readonly uid: number;
  readonly gid: number;
}

/** What is asked of the process that is to start generations; the defaults are this one's. */
export interface StartingProcess {
  readonly uid: number;
  readonly gid: number;
  /** The text of /proc/self/status; null where there is none. */
  readonly status: string | null;
}

/**
 * By number (capabilities(7)): SETUID and SETGID to become the user, KILL to end a generation that hangs, which is
 * another user's process.
 */
const NEEDED: ReadonlyMap<string, bigint> = new Map([
  ["CAP_KILL", 5n],
  ["CAP_SETGID", 6n],
  ["CAP_SETUID", 7n],
]);

/** The registry's store and its authority: whose folder holds them must not become the data path's. */
const OF_THE_REGISTRY: readonly string[] = ["registry.sqlite", "ca"];

/**
 * Reads the setting `user`. Null: generations run as this very process does.
 * @throws StartError where this process cannot start one as that user.
 */
export function dataPathUser(
  { user }: Pick<Config, "user">,
  self: StartingProcess = thisProcess(),
): DataPathUser | null {
  if (user === "") return null;
  const [uid = Number.NaN, gid = Number.NaN] = user.split(":").map(Number);
  if (self.uid === uid && self.gid === gid) return null;
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(self.status ?? "")?.[1];
  const held = BigInt(`0x${effective ?? "0"}`);
  const missing = [...NEEDED].filter(([, bit]) => (held >> bit) % 2n === 0n);
  if (missing.length === 0) return { uid, gid };
  const names = missing.map(([name]) => name).join(", ");
  throw new StartError(`the data path cannot run as ${user}: this process has no ${names}`, {
    remedy: "start the daemon as root with these capabilities, or as that user (then without user)",
  });
}

/**
 * Makes the data folder the user's, who alone writes there from now on. A folder that the user can write to already is
 * left as it is, so that whoever has prepared it may keep the right to do so (CAP_CHOWN) from the daemon.
 * @throws StartError where the folder must not, or cannot, become the user's.
 */
export function giveDataFolder(dataDir: string, user: DataPathUser): void {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o750 });
    const { uid, gid, mode } = lstatSync(dataDir);
    const isOpen = gid === user.gid && (mode & 0o070) === 0o070;
    if (uid === user.uid || isOpen || (mode & 0o007) === 0o007) return;
    const foreign = readdirSync(dataDir).find((name) => OF_THE_REGISTRY.includes(name));
    if (foreign !== undefined) throw new Error(`it also holds the registry's ${foreign}`);
    if (uid !== 0) throw new Error(`it belongs to user ${uid}`);
    give(dataDir, user);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = `the data folder ${dataDir} cannot be given to user ${user.uid}: ${reason}`;
    throw new StartError(message, {
      remedy: `name another with --data, or make it theirs: chown -R ${user.uid}:${user.gid} ${dataDir}`,
      cause,
    });
  }
}

/** What is inside first: who may read a folder only as its owner can do so until it is given away. */
function give(path: string, user: DataPathUser): void {
  if (lstatSync(path).isDirectory()) {
    for (const name of readdirSync(path)) give(join(path, name), user);
  }
  lchownSync(path, user.uid, user.gid);
}

function thisProcess(): StartingProcess {
  return {
    uid: process.getuid?.() ?? -1,
    gid: process.getgid?.() ?? -1,
    status: process.platform === "linux" ? readFileSync("/proc/self/status", "utf8") : null,
  };
}
