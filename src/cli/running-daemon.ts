import * as z from "zod";
import { type Config, configSchema } from "../config/schema.ts";
import { readAdmin } from "./admin.ts";
import { CliError } from "./cli-error.ts";
import type { SettingsFlags } from "./settings-options.ts";

const dump = z.looseObject({
  capture: z.looseObject({ mode: z.enum(["tproxy", "redirect", "explicit"]) }),
  settings: configSchema,
});

/**
 * The settings that the daemon runs with, with the capture mode that it really took: what is checked is what
 * it does, not what this command line would do. Null where no daemon of this version answers.
 */
export async function runningConfig(admin: string): Promise<Config | null> {
  try {
    const { data } = dump.safeParse(await readAdmin(admin, "/config_dump?redacted"));
    if (data === undefined) return null;
    const { settings, capture } = data;
    return { ...settings, capture: { ...settings.capture, mode: capture.mode } };
  } catch (reason) {
    if (reason instanceof CliError) return null;
    throw reason;
  }
}

/** Does the command line say itself how connections are captured? */
export function namesCapture({ config, set, capture, onDeath }: SettingsFlags): boolean {
  return [config, set, capture, onDeath].some((flag) => flag !== undefined);
}
