import type { Config } from "../src/config/schema.ts";
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
  /** Label sets of each table of each worker. */
  readonly seriesPerWorker: number;
  readonly endpointsOffset: number;
  readonly quotasOffset: number;
  /** First byte of each worker's counters. */
  readonly seriesOffsets: readonly number[];
}

/** The sections of shared memory as one thread sees them. */
export interface Memory {
  readonly endpoints: EndpointState;
  readonly quotas: WorkloadQuotas;
}

/** Index of the main thread: it begins no requests. */
export const MAIN_THREAD = -1;

/**
 * Allocates the shared memory of a generation from the limits. The kernel hands out its pages as they are
 * first touched, so generous limits cost addresses, not memory.
 */
export function layout(config: Config, workers: number): MemoryLayout {
  const { endpoints, workloads, metricSeries } = config.limits;
  const endpointsOffset = 0;
  const quotasOffset = endpointsOffset + EndpointState.bytesFor(endpoints, workers);
  const series = quotasOffset + WorkloadQuotas.bytesFor(workloads, workers);
  const stride = Series.bytesFor(metricSeries);
  return {
    buffer: new SharedArrayBuffer(series + workers * stride),
    workers,
    endpointSlots: endpoints,
    workloadSlots: workloads,
    seriesPerWorker: metricSeries,
    endpointsOffset,
    quotasOffset,
    seriesOffsets: Array.from({ length: workers }, (_, index) => series + index * stride),
  };
}

/** Views of the sections for one thread: a worker's index, or {@link MAIN_THREAD}. */
export function openMemory(memory: MemoryLayout, worker: number, config: Config): Memory {
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
  };
}

/** The counters of one worker. */
export function openSeries(memory: MemoryLayout, worker: number): Series {
  const offset = memory.seriesOffsets[worker];
  if (offset === undefined) throw new RangeError(`there is no worker ${worker}`);
  return new Series(memory.buffer, offset, memory.seriesPerWorker);
}
