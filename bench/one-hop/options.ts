import { parseArgs } from "node:util";

/** What is measured; times in seconds, bodies in bytes. */
export interface Options {
  /** Opaque TCP instead of HTTP. */
  readonly tcp: boolean;
  readonly rounds: number;
  readonly seconds: number;
  readonly connections: number;
  readonly bodies: readonly number[];
  /** No two requests, and no two response heads, are alike. */
  readonly vary: boolean;
  /** HAProxy's `tune.bufsize`. */
  readonly haproxyBufferBytes: number;
  /** File of the JSON result; null: none. */
  readonly out: string | null;
}

/** The command line is wrong. */
export class UsageError extends Error {}

export const USAGE = `CPU per request of one hop: hostmesh, nginx and HAProxy, interleaved. See bench/README.md.

npm run bench -- [options]

  --quick              2 rounds of 1 s with bodies of 115 B and 10 KiB, to see that it works
  --rounds N           rounds, each with every proxy once (5)
  --seconds N          length of one measurement (3)
  --connections N      keep-alive connections of the load (64; 16 with --tcp)
  --body N[,N...]      body sizes in bytes (115,1024,10240,102400,1048576; 1048576 with --tcp)
  --vary               no two requests and no two response heads alike
  --tcp                opaque TCP: CPU-seconds per GB
  --haproxy-buffer N   HAProxy's tune.bufsize in bytes (16384, its default)
  --out FILE           write the result as JSON
  -h, --help           this text`;

/** Limits keep a slip of the finger from a run of days, or a configuration that no proxy takes. */
const MAX = {
  rounds: 100,
  seconds: 600,
  connections: 1_000,
  body: 64 * 1_048_576,
  buffer: 1_048_576,
};

/** Reads the command line; null: it asks for help. Throws a {@link UsageError}. */
export function parseOptions(args: readonly string[]): Options | null {
  const values = parseFlags(args);
  if (values.help === true) return null;
  const tcp = values.tcp === true;
  const quick = values.quick === true;
  const bodies = tcp ? "1048576" : quick ? "115,10240" : "115,1024,10240,102400,1048576";
  return {
    tcp,
    vary: values.vary === true,
    rounds: integer("--rounds", values.rounds ?? (quick ? "2" : "5"), MAX.rounds),
    seconds: integer("--seconds", values.seconds ?? (quick ? "1" : "3"), MAX.seconds),
    connections: integer(
      "--connections",
      values.connections ?? (tcp ? "16" : "64"),
      MAX.connections,
    ),
    bodies: (values.body ?? bodies).split(",").map((text) => integer("--body", text, MAX.body)),
    haproxyBufferBytes: integer(
      "--haproxy-buffer",
      values["haproxy-buffer"] ?? "16384",
      MAX.buffer,
    ),
    out: values.out ?? null,
  };
}

function parseFlags(args: readonly string[]) {
  try {
    const text = { type: "string" } as const;
    const flag = { type: "boolean" } as const;
    return parseArgs({
      args: [...args],
      options: {
        ...{ quick: flag, tcp: flag, vary: flag, help: { ...flag, short: "h" } },
        ...{
          rounds: text,
          seconds: text,
          connections: text,
          body: text,
          out: text,
          "haproxy-buffer": text,
        },
      },
    }).values;
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

function integer(flag: string, text: string, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= max) return value;
  throw new UsageError(`${flag} takes whole numbers from 1 to ${max}, not "${text}"`);
}
