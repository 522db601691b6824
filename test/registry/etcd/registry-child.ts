import { processTimers } from "../../../src/registry/timers.ts";
import { startTestRegistry } from "../../helpers/registry.ts";
import { etcdOptions } from "./etcd-lab.ts";

/** A registry as a process of its own, to be killed: says where it listens on standard output. */
const [, , dataDir = "", prefix = "", ...urls] = process.argv;
const registry = await startTestRegistry({
  dataDir,
  etcd: etcdOptions(urls, prefix),
  timers: processTimers,
});
process.stdout.write(`${registry.url}\n`);
