import { parentPort, workerData } from "node:worker_threads";
import { WorkloadQuotas } from "../../../../src/proxy/routing/policy/workload-quotas.ts";

/** See `workload-quotas.test.ts`. */
export interface QuotaData {
  readonly buffer: SharedArrayBuffer;
  readonly slots: number;
  readonly workers: number;
  readonly worker: number;
  readonly max: number;
  /** Connections that are kept to the end; such a worker goes on until it is terminated. */
  readonly keep: number;
}

function run(data: QuotaData): number {
  const { slots, max } = data;
  const quotas = new WorkloadQuotas(data.buffer, 0, slots, data.workers, data.worker);
  for (let kept = 0; kept < data.keep; kept++) quotas.tryOpenConnection(1, max * 2);
  let peak = 0;
  for (let round = 0; data.keep > 0 || round < 100_000; round++) {
    // Two at a time, so that three workers would reach 6 and the limit of 4 has to hold them back.
    const first = quotas.tryBegin(0, max);
    const second = quotas.tryBegin(0, max);
    peak = Math.max(peak, quotas.inFlight(0));
    if (first) quotas.end(0);
    if (second) quotas.end(0);
  }
  return peak;
}

parentPort?.postMessage(run(workerData as QuotaData));
