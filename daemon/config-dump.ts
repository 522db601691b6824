import { redactData } from "../src/core/redact.ts";
import type { DataPathParts } from "./stat-sources.ts";

/**
 * Everything that decides what this daemon does: settings, the compiled snapshot, and how it stands with
 * the registry. `redacted` leaves out metadata of endpoints, values of headers and parameters that rules ask for or set, and
 * credentials in URLs, so that the dump can be handed to somebody else.
 */
export function configDump(parts: DataPathParts, redacted: boolean): object {
  const { config, compiler, supervisor, client, identity, mode, version, capturing } = parts;
  const { services, workloads, place, revision, policies, scopes } = compiler.full();
  const clean = (value: unknown) => (redacted ? redactData(value) : value);
  const registry = client.state();
  const urls = config.registry.urls.map(redacted ? withoutCredentials : (url) => url);
  return {
    version,
    revision,
    capture: { mode, active: capturing() },
    settings: { ...config, registry: { ...config.registry, urls } },
    registry: redacted ? { ...registry, url: withoutCredentials(registry.url) } : registry,
    // Certificates by name and state; keys and tokens are nowhere in it.
    identity: identity.state(),
    model: compiler.stats(),
    workers: supervisor.list(),
    snapshot: {
      services: clean(services),
      ...{ workloads, place, scopes },
      policies: clean(policies?.byKey ?? {}),
    },
  };
}

function withoutCredentials(text: string): string {
  const url = URL.parse(text);
  if (url === null) return text;
  url.username = "";
  url.password = "";
  return url.href;
}
