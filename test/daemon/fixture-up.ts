/** Runs `hostmesh up` with the settings of argument 1 (JSON) and the files that follow. */
import { runUp } from "../../daemon/up.ts";
import { configSchema } from "../../src/config/schema.ts";

const [settings = "{}", ...files] = process.argv.slice(2);
const config = configSchema.parse(JSON.parse(settings));
const print = (line: string) => process.stdout.write(`${line}\n`);
try {
  process.exitCode = await runUp({
    config,
    files,
    demo: false,
    dataDir: config.dataDir,
    log: print,
  });
} catch (error) {
  print(`could not start: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
