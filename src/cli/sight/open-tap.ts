import type { Config } from "../../config/schema.ts";
import { paint } from "../../core/terminal.ts";
import type { TapFilter, TapLimits } from "../../sight/tap-event.ts";
import { adminUrl, DAEMON_REMEDY } from "../admin.ts";
import { CliError } from "../cli-error.ts";
import { httpLines } from "../http-lines.ts";
import { tryRegistries } from "../registry.ts";
import type { TerminalOutput } from "../terminal-output.ts";
import type { SightFlags } from "./sight-options.ts";

export interface TapWish {
  readonly filter: TapFilter;
  readonly limits: TapLimits;
}

/**
 * Items of a tap as they come, not yet checked: of all hosts through the registry, or of `--host` alone; with `--admin`, or where
 * no registry taps (which is said on standard error), of one daemon. They end with the signal.
 */
export async function openTap(
  config: Config,
  flags: Pick<SightFlags, "admin" | "host">,
  wish: TapWish,
  errors: TerminalOutput,
  signal: AbortSignal,
): Promise<AsyncIterable<unknown>> {
  const admin = adminUrl(flags, config);
  if (flags.admin !== undefined) return tapDaemon(admin, wish, signal);
  const told = await tapRegistry(config, flags.host, wish, signal);
  if (typeof told !== "string") return told;
  const lines = await tapDaemon(admin, wish, signal);
  errors.line(
    `${paint("note:", "warn", errors.color)} ${told}: showing what the daemon at ${admin} sees`,
  );
  return lines;
}

/** The items, or why the registry has none for this caller. */
async function tapRegistry(
  config: Config,
  host: string | undefined,
  wish: TapWish,
  signal: AbortSignal,
): Promise<AsyncIterable<unknown> | string> {
  const body = { ...wish, ...(host === undefined ? {} : { hosts: [host] }) };
  try {
    const lines = await tryRegistries(config, ({ url, tls, peer, remedy }) =>
      httpLines({
        ...{ url: `${url}/v1/mesh/sight/tap`, body, peer, remedy, signal },
        ...(tls === undefined ? {} : { tls }),
        mayRefuse: [401, 403, 404],
      }),
    );
    return typeof lines === "string" ? `the registry lets this caller not tap (${lines})` : lines;
  } catch (reason) {
    // Of one host nobody else can tell.
    if (host !== undefined || !(reason instanceof CliError) || reason.remedy === undefined) {
      throw reason;
    }
    return reason.message;
  }
}

async function tapDaemon(
  admin: string,
  body: TapWish,
  signal: AbortSignal,
): Promise<AsyncIterable<unknown>> {
  const peer = "the daemon";
  const url = `${admin}/sight/tap`;
  const mayRefuse = [404];
  const lines = await httpLines({ url, body, peer, remedy: DAEMON_REMEDY, mayRefuse, signal });
  if (typeof lines !== "string") return lines;
  throw new CliError(`the daemon at ${admin} cannot tap: ${lines}`, {
    remedy: "it is of an older version; upgrade it",
  });
}
