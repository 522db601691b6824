import { processClock } from "../src/core/clock.ts";
import type { Log } from "../src/telemetry/log.ts";
import { Compiler } from "./compiler.ts";
import type { GenerationStart } from "./generation-messages.ts";
import type { Memory, MemoryLayout } from "./memory.ts";

/** The compiler of a generation, which hands out slots of its shared memory. */
export function makeCompiler(
  start: GenerationStart,
  layout: MemoryLayout,
  memory: Memory,
  log: Log,
): Compiler {
  const { endpointSlots, workloadSlots, serviceSlots } = layout;
  const { endpoints, quotas, serviceLimits, budgets, adaptive } = memory;
  const { identity } = start.config;
  return new Compiler({
    host: start.config.host,
    ownAddresses: start.ownAddresses,
    trustDomain: identity.mode === "off" ? null : identity.trustDomain,
    endpoints: {
      slots: endpointSlots,
      state: {
        busy: (slot) => !endpoints.isIdle(slot),
        reset: (slot) => {
          endpoints.reset(slot, processClock.now());
          adaptive.reset(slot);
        },
        readmit: (slot) => endpoints.readmit(slot, processClock.now()),
      },
    },
    workloads: {
      slots: workloadSlots,
      // Only an idle slot is handed on, and quotas hold nothing but counts.
      state: { busy: (slot) => !quotas.isIdle(slot), reset: () => undefined },
    },
    services: {
      slots: serviceSlots,
      state: {
        busy: (slot) => !serviceLimits.isIdle(slot),
        reset: (slot) => budgets.reset(slot),
      },
    },
    clock: processClock,
    log,
  });
}
