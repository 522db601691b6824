import { shortenTimeSlice } from "../lib/short-time-slice.ts";
import { listenUpstream } from "./upstream-server.ts";

/** The upstream as a process: `main.ts HOST PORTS` listens on so many ports and prints them as a line of JSON. */
// It shares a CPU with the load generator, which does the same.
shortenTimeSlice();
const [, , host = "127.0.0.1", ports = "1"] = process.argv;
try {
  const server = await listenUpstream(host, Number(ports));
  console.log(JSON.stringify(server.ports));
} catch (error) {
  process.stderr.write(`the upstream cannot listen on ${host}: ${String(error)}\n`);
  process.exitCode = 1;
}
