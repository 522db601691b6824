import * as z from "zod";
import type { Config } from "../config/schema.ts";
import { CliError } from "./cli-error.ts";
import { hostTls } from "./host-tls.ts";
import { httpJson } from "./http-json.ts";

const REMEDY =
  "start a registry with `hostmesh up` or `hostmesh registry`, or name one with --registry URL";

export interface RegistryCall {
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
  /** Statuses from 300 on that are an answer like any other. */
  readonly alsoOk?: readonly number[];
  /** Absent: that of a call which is answered at once. */
  readonly timeoutMs?: number;
}

/** One call to the first registry of the settings that can be reached; on TLS as this host, where it has an identity. */
export function callRegistry(config: Config, call: RegistryCall): Promise<unknown> {
  return tryRegistries(config, ({ url, tls, peer, remedy }) =>
    httpJson({
      ...call,
      ...(tls === undefined ? {} : { tls }),
      url: url + call.path,
      peer,
      remedy,
    }),
  );
}

/** A registry as it is called: its address without a slash at its end. */
export interface RegistryPeer {
  readonly url: string;
  readonly tls: Awaited<ReturnType<typeof hostTls>>;
  readonly peer: string;
  readonly remedy: string;
}

/** Calls the registries of the settings in turn, until one can be reached. */
export async function tryRegistries<T>(
  config: Config,
  call: (registry: RegistryPeer) => Promise<T>,
): Promise<T> {
  let failure: unknown;
  for (const base of config.registry.urls) {
    const tls = base.startsWith("https:") ? await hostTls(config) : undefined;
    try {
      return await call({
        url: base.replace(/\/+$/, ""),
        tls,
        peer: "the registry",
        remedy: REMEDY,
      });
    } catch (reason) {
      // Only an unreachable registry carries a remedy; one that answers has the last word.
      if (!(reason instanceof CliError) || reason.remedy === undefined) throw reason;
      failure = reason;
    }
  }
  throw failure;
}

/** Reads and checks an answer; throws where the peer is no registry of this version. */
export async function readRegistry<T>(
  config: Config,
  path: string,
  schema: z.ZodType<T>,
): Promise<T> {
  const parsed = schema.safeParse(await callRegistry(config, { method: "GET", path }));
  if (parsed.success) return parsed.data;
  throw new CliError(
    `the registry's answer to ${path} is not understood: ${z.prettifyError(parsed.error)}`,
    {
      cause: parsed.error,
    },
  );
}
