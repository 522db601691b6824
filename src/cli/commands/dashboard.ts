import { Command } from "commander";
import * as z from "zod";
import type { Config } from "../../config/schema.ts";
import { canonicalAddress, formatHostPort, isLoopback } from "../../core/address.ts";
import { CliError } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { httpJson } from "../http-json.ts";
import { addClusterOptions, type ClusterFlags } from "../kubectl.ts";
import { openBrowser } from "../open-browser.ts";
import { portForward } from "../port-forward.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";
import { dashboardUserCommand } from "./dashboard-user.ts";

interface DashboardFlags extends SettingsFlags, ClusterFlags {
  readonly open: boolean;
  readonly kubernetes?: boolean;
}

const REGISTRY = "deployment/hostmesh-registry";
const sessionSchema = z.object({ csrf: z.string(), loginNeeded: z.boolean() });

/** `hostmesh dashboard`. */
export function dashboardCommand(output: TerminalOutput, errors: TerminalOutput): Command {
  const command = new Command("dashboard")
    .summary("open the page that shows the mesh")
    .description(
      "Finds the registry's dashboard, checks that it answers, prints its address, and opens it in a browser where there is a display. With --kubernetes kubectl leads a port of this host to the registry's pod, until Ctrl-C.",
    )
    .option("--no-open", "print the address only")
    .option("--kubernetes", "the registry of a cluster, through kubectl port-forward")
    .action(async (_flags: unknown, self: Command) => {
      const flags = self.optsWithGlobals<DashboardFlags>();
      const config = readSettings(settingsOnly(flags));
      if (flags.kubernetes === true) return showForwarded(output, errors, config, flags);
      await show(output, errors, dashboardUrl(config), flags);
    });
  addSettingsOptions(addClusterOptions(command), ["registry"]);
  command.addCommand(dashboardUserCommand(output, errors));
  return describeCommand(command, {
    examples: [
      "hostmesh dashboard",
      "hostmesh dashboard --no-open",
      "hostmesh dashboard --kubernetes --context staging",
      "hostmesh dashboard user ann --role editor",
    ],
    notes: [
      "The address is that of the settings (dashboard.bind, dashboard.port), on the registry's host. Where that is another one and the dashboard listens on its loopback, use ssh -L 15013:127.0.0.1:15013 HOST.",
    ],
  });
}

/** Here the kubeconfig is kubectl's, and none of the registry's settings. */
function settingsOnly({ config, set, registry }: DashboardFlags): SettingsFlags {
  return {
    ...(config === undefined ? {} : { config }),
    ...(set === undefined ? {} : { set }),
    ...(registry === undefined ? {} : { registry }),
  };
}

/** Where the settings say that the registry serves it. */
function dashboardUrl({ dashboard, registry }: Config): string {
  const { bind, port, tlsCertFile } = dashboard;
  const scheme = tlsCertFile === "" ? "http" : "https";
  const [url = "http://127.0.0.1"] = registry.urls;
  const host = new URL(url).hostname.replace(/^\[|\]$/g, "");
  const isHere = host === "localhost" || isLoopback(canonicalAddress(host));
  const own = bind === "0.0.0.0" ? "127.0.0.1" : bind === "::" ? "::1" : bind;
  return `${scheme}://${formatHostPort(isHere ? own : host, port)}/`;
}

async function show(
  output: TerminalOutput,
  errors: TerminalOutput,
  url: string,
  { open }: DashboardFlags,
): Promise<void> {
  const answer = await httpJson({
    method: "GET",
    url: `${url}api/session`,
    peer: "the dashboard",
    remedy:
      "start one with `hostmesh up` or `hostmesh registry` (its log says where it is served), or name its port with --set dashboard.port=PORT",
    // Nothing secret goes there: the browser will judge the certificate.
    ...(url.startsWith("https:") ? { tls: { rejectUnauthorized: false } } : {}),
  });
  const session = sessionSchema.safeParse(answer);
  if (!session.success) {
    throw new CliError(`what answers at ${url} is no dashboard of hostmesh`, {
      remedy: "name its port with --set dashboard.port=PORT",
      cause: session.error,
    });
  }
  output.line(url);
  if (session.data.loginNeeded) errors.line("it asks for a token: see hostmesh dashboard user");
  if (open) openBrowser(url);
}

/** Until Ctrl-C, or kubectl ends. */
async function showForwarded(
  output: TerminalOutput,
  errors: TerminalOutput,
  { dashboard, kubernetes }: Config,
  flags: DashboardFlags,
): Promise<void> {
  const { namespace } = kubernetes;
  const target = { namespace, object: REGISTRY, port: dashboard.port };
  const forward = await portForward(flags, target);
  const stop = () => forward.close();
  const stopped = new Promise<null>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.once(signal, () => resolve(null));
    }
  });
  try {
    const scheme = dashboard.tlsCertFile === "" ? "http" : "https";
    await show(output, errors, `${scheme}://127.0.0.1:${forward.port}/`, flags);
    errors.line("Ctrl-C ends the connection.");
    const words = await Promise.race([forward.ended, stopped]);
    if (words !== null) throw new CliError(`kubectl port-forward ended: ${words}`);
  } finally {
    stop();
  }
}
