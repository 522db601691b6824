import { execFile } from "node:child_process";

/** Runs one command to its end. Injected, so that tests record commands or run them in a namespace. */
export interface Runner {
  /** Resolves with standard output. @throws CommandError */
  run(command: string, args: readonly string[], stdin?: string): Promise<string>;
}

/** A command failed or is missing. `message` holds the whole command line and what it said. */
export class CommandError extends Error {
  readonly commandLine: string;
  readonly stderr: string;
  /** The command does not exist on this machine. */
  readonly missing: boolean;

  constructor(commandLine: string, stderr: string, missing: boolean, hint: string, cause: unknown) {
    const said = stderr.trim() === "" ? "" : `: ${stderr.trim()}`;
    super(`${commandLine} failed${said}${hint === "" ? "" : ` (${hint})`}`, { cause });
    this.name = "CommandError";
    this.commandLine = commandLine;
    this.stderr = stderr;
    this.missing = missing;
  }
}

/** Debian package of each binary that is used. */
const PACKAGES: Readonly<Record<string, string>> = {
  iptables: "iptables",
  "iptables-save": "iptables",
  "iptables-restore": "iptables",
  ip6tables: "iptables",
  "ip6tables-save": "iptables",
  "ip6tables-restore": "iptables",
  ipset: "ipset",
  bridge: "iproute2",
  ip: "iproute2",
  ss: "iproute2",
  nft: "nftables",
};

const PERMISSION =
  /permission denied|operation not permitted|you must be root|kernel error received: operation/i;
/** Rule listings of large clusters reach tens of MiB. */
const MAX_OUTPUT_BYTES = 256 * 1024 * 1024;
const TIMEOUT_MS = 30_000;

/** The runner that runs: `prefix` is put before each command (for example `ip netns exec NAME`). */
export function execRunner(prefix: readonly string[] = []): Runner {
  return {
    run: (command, args, stdin) =>
      new Promise((resolve, reject) => {
        const [file = command, ...rest] = [...prefix, command, ...args];
        const options = {
          maxBuffer: MAX_OUTPUT_BYTES,
          timeout: TIMEOUT_MS,
          // A daemon's PATH often lacks the directories in which these tools live.
          env: {
            ...process.env,
            LC_ALL: "C",
            PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`,
          },
        };
        const child = execFile(file, rest, options, (error, stdout, stderr) => {
          if (error === null) resolve(stdout);
          else reject(commandError(command, [command, ...args].join(" "), stderr, error));
        });
        // A command that ends without reading its input reports why by its exit code.
        child.stdin?.on("error", () => child.stdin?.destroy());
        child.stdin?.end(stdin ?? "");
      }),
  };
}

function commandError(command: string, line: string, stderr: string, error: Error): CommandError {
  const missing =
    ("code" in error && error.code === "ENOENT") || /exec of .* failed: No such file/.test(stderr);
  if (missing) {
    const name = PACKAGES[command];
    const hint =
      name === undefined
        ? `${command} is not installed`
        : `${command} is not installed; it is in the Debian package ${name}: apt-get install ${name}`;
    return new CommandError(line, stderr, true, hint, error);
  }
  const hint = PERMISSION.test(stderr)
    ? "changing netfilter needs root, or CAP_NET_ADMIN and CAP_NET_RAW in the host's network namespace"
    : "";
  return new CommandError(line, stderr === "" ? error.message : stderr, false, hint, error);
}
