import { type IdleOutcome, runIdle } from "../idle/run-idle.ts";
import type { HttpProtocol } from "../model.ts";
import { runScale, type ScaleOutcome } from "../scale/run-scale.ts";
import { DEFAULT_POINTS, DIMENSIONS } from "../scale/scale-point.ts";
import type { BenchOptions } from "./options.ts";
import type { Progress } from "./progress.ts";

export interface GrowthContext {
  readonly options: BenchOptions;
  readonly configFolder: string;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** What --quick leaves of it, and the whole. */
const IDLE = {
  quick: { connections: 1_000, repeat: 1, settleMs: 1_000 },
  whole: { connections: 10_000, repeat: 3, settleMs: 5_000 },
};
const SCALE = {
  quick: { settleSeconds: 0.2, warmUpSeconds: 3, points: DEFAULT_POINTS.slice(0, 2) },
  whole: { settleSeconds: 1, warmUpSeconds: 20, points: DEFAULT_POINTS },
};

/** Memory of so many idle sidecars against one daemon. */
export async function measureIdle(
  context: GrowthContext,
  containers: number,
): Promise<IdleOutcome> {
  const { peers, envoyBinary, quick } = context.options;
  const size = quick ? IDLE.quick : IDLE.whole;
  const protocol = protocolOf(context);
  return runIdle(contextOf(context), { ...size, containers, peers, protocol, envoyBinary });
}

/** One shared proxy while services, endpoints, connections and workers grow. */
export async function measureScale(context: GrowthContext): Promise<ScaleOutcome> {
  const { peers, envoyBinary, quick, scaleSeconds, scaleRepeat } = context.options;
  const size = quick ? SCALE.quick : SCALE.whole;
  return runScale(contextOf(context), {
    ...{ ...size, peers, protocol: protocolOf(context), envoyBinary, dimensions: DIMENSIONS },
    ...{ seconds: scaleSeconds, repeat: scaleRepeat },
  });
}

/** Options with TCP for these are refused. */
function protocolOf({ options: { protocol } }: GrowthContext): HttpProtocol {
  if (protocol === "tcp") throw new TypeError("idle and scale have requests, which tcp has not");
  return protocol;
}

function contextOf({ configFolder, progress, signal }: GrowthContext) {
  return { configFolder, signal, onProgress: (line: string) => progress.line(line) };
}
