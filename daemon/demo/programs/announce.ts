import type { Server } from "node:net";
import { numberFrom } from "./lifeline.ts";

/**
 * Listens on the port of the environment (`PORT`; 0 takes any) and prints `listening PORT` as the first
 * line of standard output, which is how the demo learns that the program is ready and where.
 */
export function listenAndAnnounce(server: Server): void {
  server.listen({ host: process.env["BIND"] ?? "::", port: numberFrom("PORT", 0) }, () => {
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("not listening on a port");
    process.stdout.write(`listening ${address.port}\n`);
  });
}
