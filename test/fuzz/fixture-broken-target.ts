import { setTimeout as sleep } from "node:timers/promises";
import { fuzz } from "./fuzz.ts";

/** A target that does not come back, or that fails where nobody waits for it. */
const how = process.argv[2] ?? "";
const HANG_MS = 500;

await fuzz(
  {
    name: "broken",
    mutate: (input) => input,
    async run() {
      while (how === "hangs") {
        // For ever.
      }
      setImmediate(() => {
        throw new Error("behind its back");
      });
      await sleep(1_000);
      return "";
    },
  },
  [Buffer.from(how)],
  { seed: 1, ms: 1_000, hangMs: HANG_MS },
);
