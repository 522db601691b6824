import type { Config } from "../../src/config/schema.ts";
import { processTimers } from "../../src/registry/timers.ts";
import type { Log } from "../../src/telemetry/log.ts";
import { HttpCollector } from "./collector.ts";
import { SpanExporter } from "./span-exporter.ts";

/** The exporter of this daemon's spans; null: it records none. */
export function makeExporter(config: Config, version: string, log: Log): SpanExporter | null {
  const { tracing: settings } = config.telemetry;
  if (settings.endpoint === "") return null;
  return new SpanExporter({
    ...{ settings, host: config.host, version, log },
    collector: new HttpCollector(settings),
    timers: processTimers,
    wall: Date.now,
    random: Math.random,
  });
}
