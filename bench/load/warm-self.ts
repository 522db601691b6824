import type { LoadJob } from "../model.ts";
import { listenUpstream } from "../upstream/upstream-server.ts";
import { Generator } from "./generator.ts";

const SECONDS = 1;
const CONNECTIONS = 64;
const LEAST_RATE = 4_000;
const silent = { counting: () => undefined, counted: () => undefined };

/**
 * Runs a like load on an upstream of its own in this very process, so that the generator's code is compiled: what a
 * fresh proxy does first is measured with a generator that is not fresh.
 */
export async function warmSelf(job: LoadJob): Promise<void> {
  const upstream = await listenUpstream("127.0.0.1", 1);
  try {
    const { firstRequests: _, ...rest } = job;
    const [port = 0] = upstream.ports;
    const like: LoadJob = {
      ...rest,
      targets: [{ host: "127.0.0.1", port, authority: "warm", connect: false }],
      connections: Math.min(CONNECTIONS, job.connections),
      rate: job.rate === null ? null : Math.max(LEAST_RATE, job.rate),
      warmUpSeconds: 0,
      seconds: SECONDS,
    };
    await new Generator(like).run(silent);
  } finally {
    upstream.close();
  }
}
