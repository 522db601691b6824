/** What one run of wrk completed. */
export interface WrkResult {
  readonly requests: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** What makes the run worthless: failed connections, timeouts, responses other than 2xx and 3xx. */
  readonly problems: readonly string[];
}

export interface WrkLoad {
  readonly url: string;
  /** Value of the Host field. */
  readonly host: string;
  readonly connections: number;
  readonly seconds: number;
  /** A script of wrk's; null: the same request over and over. */
  readonly script: string | null;
}

/** Arguments of wrk for a load of one thread. */
export function wrkArguments({ url, host, connections, seconds, script }: WrkLoad): string[] {
  const load = ["-t1", `-c${connections}`, `-d${seconds}s`, "--latency", "--timeout", "5s"];
  const varied = script === null ? [] : ["-s", script];
  return [...load, ...varied, "-H", `Host: ${host}`, url];
}

const UNIT_MS: Readonly<Record<string, number>> = { us: 1e-3, ms: 1, s: 1e3, m: 6e4, h: 3.6e6 };

function durationMs(text: string): number {
  const [, value, unit = ""] = /^([\d.]+)(us|ms|s|m|h)$/.exec(text) ?? [];
  const factor = UNIT_MS[unit];
  if (value === undefined || factor === undefined) throw new Error(`wrk's duration: ${text}`);
  return Number(value) * factor;
}

/** Parses what `wrk --latency` prints. Throws where that is not a complete report. */
export function parseWrk(text: string): WrkResult {
  const find = (pattern: RegExp): string => {
    const found = pattern.exec(text)?.[1];
    if (found === undefined) throw new Error(`not a report of wrk: ${text.trim().slice(-200)}`);
    return found;
  };
  const problems: string[] = [];
  const errors = /^\s*Socket errors: (.+)$/m.exec(text)?.[1];
  if (errors !== undefined) problems.push(`socket errors: ${errors}`);
  const refused = /^\s*Non-2xx or 3xx responses: (\d+)$/m.exec(text)?.[1];
  if (refused !== undefined) problems.push(`${refused} responses not 2xx`);
  const requests = Number(find(/^\s*(\d+) requests in /m));
  if (requests === 0) problems.push("no request was completed");
  return {
    requests,
    seconds: durationMs(find(/ requests in ([\d.]+\w+),/)) / 1e3,
    p50Ms: durationMs(find(/^\s*50%\s+(\S+)$/m)),
    p99Ms: durationMs(find(/^\s*99%\s+(\S+)$/m)),
    problems,
  };
}
