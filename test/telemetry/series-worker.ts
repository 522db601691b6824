import { parentPort, workerData } from "node:worker_threads";
import { Series } from "../../src/telemetry/series.ts";
import { WorkerRecorder } from "../../src/telemetry/worker-recorder.ts";
import { makeEndpoint, makeFacts, makeService, makeWorkload } from "./make-facts.ts";

/** Records `rounds` exchanges over a few label sets, then ends. */
const { buffer, byteOffset, perTable, rounds, known } = workerData;
const recorder = new WorkerRecorder({
  series: new Series(buffer, byteOffset, perTable),
  known,
  onSeries: (label) => parentPort?.postMessage(label),
});
const sources = [makeWorkload("a"), makeWorkload("b"), null];
const services = [makeService("x"), makeService("y"), null];
const facts = makeFacts({ endpoint: makeEndpoint("h/1"), durationMs: 1 });
for (let round = 0; round < rounds; round += 1) {
  facts.source = sources[round % 3] ?? null;
  facts.service = services[(round >> 2) % 3] ?? null;
  recorder.started(facts.source, facts.service);
  recorder.exchange(facts);
  recorder.event("connection_opened");
}
