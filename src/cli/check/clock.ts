import type { Config } from "../../config/schema.ts";
import { type Finding, ok, skipped, warning } from "./finding.ts";

const MAX_SKEW_MS = 2_000;
const ANSWER_MS = 2_000;

/** Does this host's clock agree with that of the first registry that answers? */
export async function clockFinding({ registry }: Pick<Config, "registry">): Promise<Finding> {
  for (const url of registry.urls) {
    const skewMs = await skewTo(url);
    if (skewMs === null) continue;
    if (Number.isNaN(skewMs)) return skipped("clock: the registry's answer has no date");
    if (Math.abs(skewMs) <= MAX_SKEW_MS) return ok("the clock agrees with the registry's");
    return warning(
      `the clock differs from the registry's by ${(skewMs / 1_000).toFixed(1)} s`,
      "Synchronise both with NTP; logs and certificates depend on it.",
    );
  }
  // The registry's own group has said that it cannot be reached.
  return skipped("clock: no registry to compare with");
}

/** How far the registry's clock is ahead; null: it cannot be reached; NaN: it does not say. */
async function skewTo(url: string): Promise<number | null> {
  const { Agent, request } = await import("undici");
  // Nothing is told to whoever answers, and only its time is read. With a wrong clock no certificate would verify, and
  // that is just when this has to be said.
  const dispatcher = new Agent({ connect: { rejectUnauthorized: false }, pipelining: 0 });
  try {
    const before = Date.now();
    const { headers, body } = await request(`${url.replace(/\/+$/, "")}/v1/mesh/status`, {
      ...{ dispatcher, signal: AbortSignal.timeout(ANSWER_MS) },
    });
    await body.dump();
    // Date has whole seconds: half a second is the best guess of the rest.
    return Math.round(Date.parse(String(headers["date"])) + 500 - (before + Date.now()) / 2);
  } catch {
    return null;
  } finally {
    await dispatcher.close();
  }
}
