import * as z from "zod";
import type { ExplainRequest, Explanation } from "../../src/core/explanation.ts";
import type { Recorder } from "../../src/core/facts.ts";
import { applyUpdate } from "../../src/proxy/apply-update.ts";
import { explainRequest } from "../../src/proxy/explain/explain-request.ts";
import { makePlane } from "../../src/proxy/make-plane.ts";
import type { GenerationStart } from "../generation-messages.ts";
import { type MemoryLayout, openMemory } from "../memory.ts";
import type { DataPathParts } from "../stat-sources.ts";
import { policySources } from "./policy-sources.ts";
import { sparseCopy } from "./sparse-copy.ts";

/** What the main thread explains from. */
export interface ExplainParts
  extends Pick<DataPathParts, "config" | "mode" | "compiler" | "identity" | "clock"> {
  readonly memory: MemoryLayout;
  readonly start: Pick<GenerationStart, "ownAddresses" | "ownPorts">;
}

/** No URL, path or head that a data path takes is longer. */
const MAX_TEXT = 8_192;
const MAX_HEADERS = 100;

const text = z.string().max(MAX_TEXT);
const explainInput = z.strictObject({
  source: text.default(""),
  destination: text.min(1),
  method: text.default("GET"),
  path: text.default("/"),
  headers: z
    .array(z.tuple([text, text]))
    .max(MAX_HEADERS)
    .default([]),
  fromIdentity: text.optional(),
});

/**
 * Answers what would become of one imagined request, from the daemon's own compiled state and a copy of the memory that
 * its workers share: nothing that is done to answer it reaches them. Throws a RangeError that says what is wrong with
 * the question.
 */
export async function explainAnswer(parts: ExplainParts, asked: unknown): Promise<Explanation> {
  const request = parsed(asked);
  const { config, compiler, clock, mode, identity } = parts;
  const memory = copied(parts.memory);
  const plane = makePlane({
    config,
    // A copy: there it may act as any worker.
    ...openMemory(memory, 0, config, clock),
    recorder: NO_RECORD,
    watch: { texts: false, details: false },
    clock,
    random: Math.random,
    destination: mode === "explicit" ? null : { of: () => null },
    ownAddresses: parts.start.ownAddresses,
    ownPorts: parts.start.ownPorts,
    log: () => undefined,
  });
  try {
    const update = compiler.full();
    applyUpdate(plane, update);
    plane.transport.setCredentials(identity.credentials());
    const says = policySources(compiler);
    return await explainRequest(plane, { workloads: update.workloads, says }, request);
  } finally {
    plane.pools.close();
    plane.deadlines.close();
    plane.alarms.close();
  }
}

function parsed(asked: unknown): ExplainRequest {
  const { data, error } = explainInput.safeParse(asked);
  if (data === undefined) throw new RangeError(z.prettifyError(error).slice(0, 1_000));
  const { fromIdentity, ...rest } = data;
  return { ...rest, ...(fromIdentity === undefined ? {} : { fromIdentity }) };
}

/** Without the counters of metrics, which lie at the end and are the larger part. */
function copied(memory: MemoryLayout): MemoryLayout {
  const { buffer, seriesOffsets } = memory;
  return { ...memory, buffer: sparseCopy(buffer, seriesOffsets[0] ?? buffer.byteLength) };
}

/** Nothing of what is imagined is counted. */
const NO_RECORD: Recorder = {
  exchange: () => undefined,
  opened: () => undefined,
  started: () => undefined,
  event: () => undefined,
  detection: () => undefined,
  http2: () => undefined,
  retry: () => undefined,
  ejection: () => undefined,
};
