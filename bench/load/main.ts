import { text } from "node:stream/consumers";
import { BenchError } from "../lib/bench-error.ts";
import { shortenTimeSlice } from "../lib/short-time-slice.ts";
import { Generator } from "./generator.ts";
import { parseLoadJob } from "./job.ts";
import { warmSelf } from "./warm-self.ts";

/** The load generator as a process: a job as JSON on standard input, events as lines of JSON on standard output. */
const say = (event: object) => void process.stdout.write(`${JSON.stringify(event)}\n`);

// Upstream, compiler threads and this share a CPU: whoever has something to do gets it at once.
shortenTimeSlice();
try {
  const job = parseLoadJob(await text(process.stdin));
  if (job.firstRequests !== undefined) await warmSelf(job);
  const result = await new Generator(job).run({
    loaded: () => say({ event: "loaded" }),
    counting: () => say({ event: "counting" }),
    counted: () => say({ event: "counted" }),
  });
  say({ event: "result", result });
} catch (error) {
  process.stderr.write(`${error instanceof BenchError ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
