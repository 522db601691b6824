import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "node:worker_threads";

/** A port of 127.0.0.1 that neither accepts nor refuses: connecting to it hangs. */
export interface Blackhole {
  readonly port: number;
  close(): Promise<void>;
}

const LISTENER = `
  const { createServer } = require("node:net");
  const { parentPort, workerData } = require("node:worker_threads");
  const server = createServer();
  server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
    parentPort.postMessage(server.address().port);
    // Never returns to the event loop, so nothing is accepted.
    setTimeout(() => Atomics.wait(workerData, 0, 0, 60_000), 1);
  });
`;

/** A thread that sleeps while it listens, with a backlog that is filled until the kernel takes no more. */
export async function blackhole(): Promise<Blackhole> {
  const wake = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(LISTENER, { eval: true, workerData: wake });
  const [port] = (await once(worker, "message")) as [number];
  await delay(50);
  const fill: Socket[] = [];
  for (let isFull = false; !isFull; ) {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.on("error", () => socket.destroy());
    fill.push(socket);
    isFull = await Promise.race([
      once(socket, "connect").then(() => false),
      delay(150).then(() => true),
    ]);
  }
  return {
    port,
    close: async () => {
      for (const socket of fill) socket.destroy();
      Atomics.store(wake, 0, 1);
      Atomics.notify(wake, 0);
      await worker.terminate();
    },
  };
}
