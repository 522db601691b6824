import { parentPort, workerData } from "node:worker_threads";
import { Deadlines } from "../../src/core/deadlines.ts";
import type { Credentials } from "../../src/core/identity.ts";
import type { Carrier, ConnHandler } from "../../src/http/carrier.ts";
import { acceptConn } from "../../src/http/open-conn.ts";
import { listen } from "../../src/proxy/downstream/accept.ts";
import { acceptMesh } from "../../src/proxy/downstream/mesh-accept.ts";
import { clock, contextsOf } from "./handshake-lab.ts";

/** The called host of bench/micro/handshakes.ts, in a thread of its own so that its CPU time can be told apart. */
const deps = {
  ...{ clock, deadlines: new Deadlines(clock), contexts: contextsOf(workerData as Credentials) },
  ...{ handshakeMs: 10_000, handshakes: { begin: () => true, end: () => {} } },
  calledIdentity: "",
};

const NOBODY: ConnHandler = { onBytes() {}, onDrain() {}, onClose() {}, onFin() {} };

/** Sends back what comes, and ends with the other side. */
function echo(conn: Carrier): ConnHandler {
  return {
    ...NOBODY,
    onBytes: (chunk, end) => conn.relay(chunk, 0, end, conn),
    onFin: () => conn.end(),
  };
}

const spec = { entry: "captured", host: "0.0.0.0", port: 0, reusePort: false } as const;
const mesh = await listen(spec, (socket) =>
  acceptMesh(socket, deps, {
    onMesh: (request) => {
      const conn = request.grant();
      conn.handler = echo(conn);
    },
    onMeshGone: () => {},
    onMeshLink: ({ conn }) => {
      conn.handler = echo(conn);
    },
    onMeshRefused: (refusal, detail) => {
      if (refusal !== "closed") throw new Error(`${refusal}: ${detail}`);
    },
  }),
);
const plain = await listen(spec, (socket) => {
  const conn = acceptConn(socket, NOBODY);
  conn.handler = echo(conn);
});

parentPort?.on("message", () => parentPort?.postMessage(process.threadCpuUsage()));
parentPort?.postMessage({ mesh: mesh.port, plain: plain.port });
