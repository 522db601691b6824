import type { Config } from "../src/config/schema.ts";
import { type Clock, processClock } from "../src/core/clock.ts";
import { AdaptiveLimits } from "../src/proxy/routing/policy/adaptive-limit.ts";
import { RateLimits } from "../src/proxy/routing/policy/rate-limits.ts";
import { RetryBudgets } from "../src/proxy/routing/policy/retry-budget.ts";
import { ServiceLimits } from "../src/proxy/routing/policy/service-limits.ts";
import { WorkloadQuotas } from "../src/proxy/routing/policy/workload-quotas.ts";
import { EndpointState } from "../src/proxy/upstream/balance/endpoint-state.ts";
import { Series } from "../src/telemetry/series.ts";

/**
 * Where each section lies in the one shared buffer of a generation. Plain data, so that it can be handed
 * to a worker; the buffer itself is shared and not copied by that.
 */
export interface MemoryLayout {
  readonly buffer: SharedArrayBuffer;
  readonly workers: number;
  readonly endpointSlots: number;
  readonly workloadSlots: number;
  readonly serviceSlots: number;
  readonly rateBuckets: number;
  /** Label sets of each table of each worker. */
  readonly seriesPerWorker: number;
  readonly endpointsOffset: number;
  readonly quotasOffset: number;
  readonly servicesOffset: number;
  readonly budgetsOffset: number;
  readonly adaptiveOffset: number;
  readonly ratesOffset: number;
  /** First byte of each worker's counters. */
  readonly seriesOffsets: readonly number[];
}

/** The sections of shared memory as one thread sees them. */
export interface Memory {
  readonly endpoints: EndpointState;
  readonly quotas: WorkloadQuotas;
  readonly serviceLimits: ServiceLimits;
  readonly budgets: RetryBudgets;
  readonly adaptive: AdaptiveLimits;
  readonly rateLimits: RateLimits;
}

/** Index of the main thread: it begins no requests. */
export const MAIN_THREAD = -1;

/**
 * Allocates the shared memory of a generation from the limits. The kernel hands out its pages as they are
 * first touched, so generous limits cost addresses, not memory.
 */
export function layout(config: Config, workers: number): MemoryLayout {
  const { endpoints, workloads, services, rateBuckets, metricSeries } = config.limits;
  const endpointsOffset = 0;
  const quotasOffset = endpointsOffset + EndpointState.bytesFor(endpoints, workers);
  const servicesOffset = quotasOffset + WorkloadQuotas.bytesFor(workloads, workers);
  const budgetsOffset = servicesOffset + ServiceLimits.bytesFor(services, workers);
  const adaptiveOffset = budgetsOffset + RetryBudgets.bytesFor(services);
  const ratesOffset = adaptiveOffset + AdaptiveLimits.bytesFor(endpoints);
  const series = ratesOffset + RateLimits.bytesFor(rateBuckets);
  const stride = Series.bytesFor(metricSeries);
  return {
    buffer: new SharedArrayBuffer(series + workers * stride),
    workers,
    endpointSlots: endpoints,
    workloadSlots: workloads,
    serviceSlots: services,
    rateBuckets,
    seriesPerWorker: metricSeries,
    endpointsOffset,
    quotasOffset,
    servicesOffset,
    budgetsOffset,
    adaptiveOffset,
    ratesOffset,
    seriesOffsets: Array.from({ length: workers }, (_, index) => series + index * stride),
  };
}

/** Views of the sections for one thread: a worker's index, or {@link MAIN_THREAD}. */
export function openMemory(
  memory: MemoryLayout,
  worker: number,
  config: Config,
  clock: Clock = processClock,
): Memory {
  const { buffer, workers, endpointSlots, workloadSlots, endpointsOffset, quotasOffset } = memory;
  return {
    endpoints: new EndpointState(
      buffer,
      endpointsOffset,
      endpointSlots,
      workers,
      worker,
      config.balance,
    ),
    quotas: new WorkloadQuotas(buffer, quotasOffset, workloadSlots, workers, worker),
    serviceLimits: new ServiceLimits(
      buffer,
      memory.servicesOffset,
      memory.serviceSlots,
      workers,
      worker,
    ),
    budgets: new RetryBudgets(buffer, memory.budgetsOffset, memory.serviceSlots, clock),
    adaptive: new AdaptiveLimits(buffer, memory.adaptiveOffset, endpointSlots),
    rateLimits: new RateLimits(buffer, memory.ratesOffset, memory.rateBuckets, clock),
  };
}

/** The counters of one worker. */
export function openSeries(memory: MemoryLayout, worker: number): Series {
  const offset = memory.seriesOffsets[worker];
  if (offset === undefined) throw new RangeError(`there is no worker ${worker}`);
  return new Series(memory.buffer, offset, memory.seriesPerWorker);
}
