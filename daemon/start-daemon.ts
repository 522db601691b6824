import { availableParallelism, networkInterfaces } from "node:os";
import type { Config } from "../src/config/schema.ts";
import { canonicalAddress } from "../src/core/address.ts";
import { processClock } from "../src/core/clock.ts";
import type { Log } from "../src/telemetry/log.ts";
import { abandonAtForce } from "./abandon-at-force.ts";
import { captureControl } from "./capture-control.ts";
import type { CaptureChoice } from "./capture-mode.ts";
import { captureSpec, chooseCapture, refuseUnprivileged } from "./capture-mode.ts";
import type { CaptureOwnership } from "./capture-owner.ts";
import { CaptureTaken, ownCapture } from "./capture-owner.ts";
import type { DataPathUser } from "./data-path-user.ts";
import { dataPathUser, giveDataFolder } from "./data-path-user.ts";
import { freePort } from "./free-port.ts";
import type { GenerationPorts } from "./generation-messages.ts";
import type { GenerationCommand } from "./generation-process.ts";
import { generationCommand } from "./generation-process.ts";
import { Guardian } from "./guardian.ts";
import type { DataPathSockets } from "./sockets.ts";
import { openDataPathSockets } from "./sockets.ts";
import { StartError } from "./start-error.ts";
import type { CaptureMode, SharedListener } from "./worker-messages.ts";

export interface DaemonOptions {
  readonly log: Log;
  /** Leave the capture rules in place at an orderly stop. */
  readonly keepRules?: boolean;
  /** A one-time token for this very start, in place of `identity.joinTokenFile`. */
  readonly joinToken?: string;
  /** Asks for an orderly stop, at any time. */
  readonly stop?: AbortSignal;
  /** Asks for a stop at once. */
  readonly force?: AbortSignal;
  /** The generation's program; tests give their own. */
  readonly command?: GenerationCommand;
}

export interface RunningDaemon {
  readonly mode: CaptureMode;
  readonly ports: GenerationPorts & { readonly explicit: number; readonly outbound: number | null };
  /** Process id of the generation that serves now. */
  generationPid(): number | undefined;
  /** Resolves with the exit code when the daemon has ended, for whatever reason. */
  readonly done: Promise<number>;
  /** An orderly stop; resolves when everything has ended. */
  stop(): Promise<void>;
}

/** What a start that is forced to end may still take to undo what it did. */
const FORCE_GRACE_MS = 5_000;
/** Beyond this a worker brings less than it costs: most traffic of a host fits into one. */
const MAX_WORKERS = 8;

/**
 * Starts the daemon of this host in this process: opens the listening sockets, starts a generation, and
 * captures when it serves. Rejects when any of that fails; nothing is left behind then.
 */
export async function startDaemon(config: Config, options: DaemonOptions): Promise<RunningDaemon> {
  const { force } = options;
  return abandonAtForce(start(config, options), force, FORCE_GRACE_MS);
}

async function start(config: Config, options: DaemonOptions): Promise<RunningDaemon> {
  refuseUnprivileged(config);
  const user = dataPathUser(config);
  await claimHost(config);
  const choice = await chooseCapture(config);
  const ownership = choice.mode === "explicit" ? null : await claimCapture();
  try {
    if (user !== null) giveDataFolder(config.dataDir, user);
    const daemon = await startWith(config, options, choice, user);
    const done = daemon.done.finally(() => ownership?.release());
    return { ...daemon, done };
  } catch (error) {
    await ownership?.release();
    throw error;
  }
}

async function startWith(
  config: Config,
  options: DaemonOptions,
  wanted: CaptureChoice,
  user: DataPathUser | null,
): Promise<RunningDaemon> {
  const { log, stop, force } = options;
  const opened = await openSockets(config, wanted, log);
  const { choice, sockets } = opened;
  const command = options.command ?? generationCommand();
  const guardian = makeGuardian(
    config,
    { ...options, command: { ...command, ...(user === null ? {} : { user }) } },
    opened,
  );
  const onStop = () => void guardian.stop();
  const onForce = () => void guardian.force();
  stop?.addEventListener("abort", onStop);
  force?.addEventListener("abort", onForce);
  if (stop?.aborted === true) onStop();
  await guardian.start();
  const ports = guardian.ports;
  if (ports === null) throw new Error("the data path is ready but named no ports");
  return {
    mode: guardian.capturing ? choice.mode : "explicit",
    ports: { ...ports, explicit: sockets.ports.explicit, outbound: sockets.ports.outbound },
    generationPid: () => guardian.generationPid,
    done: guardian.done,
    stop: () => guardian.stop(),
  };
}

/**
 * One daemon per host: with SO_REUSEPORT a second one would silently take a share of the first one's
 * connections, so it must be found out before any socket is opened.
 */
async function claimHost(config: Config): Promise<void> {
  const { admin } = config.ports;
  if (admin === 0) return;
  try {
    await freePort("127.0.0.1", admin, { patienceMs: 2_000 });
  } catch (cause) {
    throw new StartError(
      `the admin port 127.0.0.1:${admin} is taken: another hostmesh daemon may be running on this host`,
      { remedy: "stop it, or choose other ports with --set ports.admin=PORT and so on", cause },
    );
  }
}

/** Two daemons would replace each other's rules, and the first to end would remove those of both. */
async function claimCapture(): Promise<CaptureOwnership> {
  try {
    return await ownCapture();
  } catch (error) {
    if (!(error instanceof CaptureTaken)) throw error;
    throw new StartError(error.message, {
      remedy: "stop that daemon first, or start this one with --capture explicit",
      cause: error,
    });
  }
}

interface Opened {
  readonly choice: CaptureChoice;
  readonly sockets: DataPathSockets;
  readonly workers: number;
}

async function openSockets(config: Config, wanted: CaptureChoice, log: Log): Promise<Opened> {
  let choice = wanted;
  if (choice.reason !== "") log.info("explicit proxy only", { reason: choice.reason });
  if (process.platform !== "linux") return withoutSharing(config, choice);
  const workers =
    config.workers === 0 ? Math.min(MAX_WORKERS, availableParallelism()) : config.workers;
  const { mesh, identity } = config;
  const meshPort = identity.mode === "off" ? null : mesh.port;
  const ports = { ...config.ports, inbound: mesh.inboundPort, mesh: meshPort };
  const binds = { bind: config.ports.bind, meshBind: mesh.bind };
  const open = ({ mode, ipv6 }: CaptureChoice) =>
    openDataPathSockets({ workers, mode, ipv6, ports, ...binds });
  try {
    return { choice, sockets: open(choice), workers };
  } catch (error) {
    if (choice.required) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    choice = { mode: "explicit", required: true, ipv6: false, reason };
    log.warn("explicit proxy only", { reason });
    return { choice, sockets: open(choice), workers };
  }
}

/** Systems without SO_REUSEPORT balancing: one worker that opens the explicit port itself. */
async function withoutSharing(config: Config, choice: CaptureChoice): Promise<Opened> {
  const { bind, explicit } = config.ports;
  const port = explicit === 0 ? await freePort(bind, 0) : explicit;
  const ports = { outbound: null, inbound: null, mesh: null, explicit: port };
  return { choice, workers: 1, sockets: { workers: [], ports, close: () => undefined } };
}

function makeGuardian(
  config: Config,
  options: DaemonOptions & { readonly command: GenerationCommand },
  opened: Opened,
): Guardian {
  const { choice, sockets, workers } = opened;
  const { log, joinToken, command } = options;
  const { outbound, inbound, explicit, mesh } = sockets.ports;
  const { mode, ipv6 } = choice;
  const capture =
    mode === "explicit" || outbound === null || inbound === null
      ? null
      : captureControl(
          captureSpec(config, { mode, ipv6 }, { ...sockets.ports, outbound, inbound }),
          log,
        );
  const ownPorts = [explicit, outbound, inbound, mesh, config.ports.admin].filter(
    (port) => port !== null,
  );
  return new Guardian({
    config,
    start: {
      ...{ mode, workers, explicitPort: explicit, ownAddresses: ownAddresses(), ownPorts },
      meshPort: mesh,
      ...(joinToken === undefined ? {} : { joinToken }),
    },
    listeners: listenersOf(sockets),
    closeListeners: () => sockets.close(),
    capture,
    captureRequired: choice.required,
    keepRules: options.keepRules ?? false,
    command,
    clock: processClock,
    log,
  });
}

function listenersOf(sockets: DataPathSockets): SharedListener[] {
  return sockets.workers.flatMap(({ outbound, inbound, explicit, mesh }, worker) => [
    ...(outbound === null ? [] : [{ worker, entry: "captured" as const, fd: outbound }]),
    ...(inbound === null ? [] : [{ worker, entry: "inbound" as const, fd: inbound }]),
    ...(mesh === null ? [] : [{ worker, entry: "mesh" as const, fd: mesh }]),
    { worker, entry: "explicit" as const, fd: explicit },
  ]);
}

/** Addresses of this host, loopback included. */
function ownAddresses(): string[] {
  const found = new Set<string>();
  for (const list of Object.values(networkInterfaces())) {
    for (const { address } of list ?? []) found.add(canonicalAddress(address));
  }
  return [...found];
}
