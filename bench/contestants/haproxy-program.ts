import { haproxyConfig } from "./haproxy-config.ts";
import { findAtLeast, type Lack, type Program } from "./program.ts";

const INSTALL = "apt-get install haproxy";
/** The first with HTTP/2 to servers that share connections between threads, and `uuid()`. */
const OLDEST = "2.4";

export async function findHaproxy(): Promise<Program | Lack> {
  const tool = await findAtLeast("haproxy", "-v", { oldest: OLDEST, install: INSTALL });
  if ("reason" in tool) return tool;
  return {
    ...{ peer: "haproxy", version: tool.version, ending: "cfg" },
    config: haproxyConfig,
    // -db: in the foreground, and without a master process.
    command: (file) => [tool.path, "-db", "-f", file],
  };
}
