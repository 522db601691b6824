/**
 * A worker thread for tests of the supervisor: an echo server that fails as it is told, by what a client
 * sends or by the services that an update names.
 */
import { createServer } from "node:net";
import { parentPort, workerData } from "node:worker_threads";
import type { FromWorker, ToWorker } from "../../daemon/worker-messages.ts";
import type { DataUpdate } from "../../src/core/snapshot.ts";

interface Start {
  readonly index: number;
  readonly port: number;
  readonly state: DataUpdate;
  readonly failAtStart?: boolean;
  /** It is not ready before it is told to hurry. */
  readonly dawdles?: boolean;
}

const { index, port, state, failAtStart, dawdles } = workerData as Start;
if (failAtStart === true) throw new Error("fails at start");

const known = new Set(state.services.map((service) => service.key));
let connections = 0;
const tell = (message: FromWorker) => parentPort?.postMessage(message);

const server = createServer((socket) => {
  connections++;
  socket.on("error", () => socket.destroy());
  socket.on("close", () => {
    connections--;
  });
  socket.on("data", (chunk) => {
    const word = chunk.toString();
    if (word === "throw") throw new Error("told to throw");
    if (word === "exhaust") exhaust();
    if (word === "hang") for (;;);
    if (word === "who") socket.write(`${index} ${[...known].sort().join(",")}`);
    else socket.write(chunk);
  });
});

function exhaust(): void {
  const held: number[][] = [];
  for (;;) held.push(new Array(10_000).fill(held.length));
}

parentPort?.on("message", (message: ToWorker) => {
  switch (message.type) {
    case "hurry":
      tell({ type: "ready" });
      return;
    case "update":
      if (message.update.removedServices.includes("default/bad") && !message.update.full) {
        tell({ type: "rejected", revision: message.update.revision, reason: "told to refuse" });
        return;
      }
      if (message.update.full) known.clear();
      for (const service of message.update.services) known.add(service.key);
      return;
    case "ping":
      tell({
        type: "pong",
        id: message.id,
        stats: { connections, idleUpstream: 0, busyUpstream: 0, pending: 0 },
      });
      return;
    case "drain":
      server.close(() => process.exit(0));
  }
});

server.listen({ host: "127.0.0.1", port, reusePort: true }, () => {
  if (dawdles !== true) tell({ type: "ready" });
});
