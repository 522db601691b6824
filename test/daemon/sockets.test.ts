import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, test } from "node:test";
import { Worker } from "node:worker_threads";
import { openDataPathSockets } from "../../daemon/sockets.ts";

const skip = process.platform === "linux" ? false : "needs Linux";

/** Listens on descriptor 3, says "up", and answers each connection with its own name. */
const GENERATION = `
  const { createServer } = require("node:net");
  createServer((s) => s.end(process.argv[1])).listen({ fd: 3 }, () => console.log("up"));
`;
const WORKER = `
  const { parentPort, workerData } = require("node:worker_threads");
  const { createServer } = require("node:net");
  createServer((s) => s.end(workerData.name)).listen({ fd: workerData.fd }, () => parentPort.postMessage("up"));
`;

async function ask(port: number): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk;
  });
  socket.setTimeout(5_000, () => socket.destroy(new Error("no answer in 5 s")));
  await once(socket, "close");
  return text;
}

describe("sockets of the data path", { skip }, () => {
  const options = {
    ports: { outbound: 0, explicit: 0, inbound: 0, mesh: 0 },
    bind: "127.0.0.1",
    meshBind: "127.0.0.1",
    ipv6: false,
  } as const;

  test("every worker has one per port, explicit mode has no capture port", () => {
    const sockets = openDataPathSockets({ ...options, mode: "redirect", workers: 3 });
    assert.equal(sockets.workers.length, 3);
    const all = sockets.workers.flatMap((w) => [w.outbound, w.explicit, w.inbound, w.mesh]);
    assert.equal(new Set(all).size, 12);
    assert.equal(new Set(Object.values(sockets.ports)).size, 4, "four ports, each shared by all");
    assert.ok(sockets.ports.outbound !== null && sockets.ports.outbound > 0);
    sockets.close();
    const explicit = openDataPathSockets({ ...options, mode: "explicit", workers: 1 });
    assert.equal(explicit.ports.outbound, null);
    assert.equal(explicit.workers[0]?.outbound, null);
    assert.equal(explicit.workers[0]?.inbound, null);
    assert.ok(explicit.workers[0]?.mesh, "mutual TLS needs no capture");
    explicit.close();
  });

  test("what was opened is closed again where a later one fails", async () => {
    const bad = { ...options, bind: "203.0.113.1", mode: "redirect", workers: 2 } as const;
    assert.throws(() => openDataPathSockets(bad), /EADDRNOTAVAIL/);
  });

  test("worker threads share the connections of one port", async () => {
    const { duplicateFd } = await import("../../src/proxy/downstream/libc.ts");
    const sockets = openDataPathSockets({ ...options, mode: "explicit", workers: 2 });
    const threads = sockets.workers.map(({ explicit }, index) => {
      const workerData = { fd: duplicateFd(explicit), name: `worker ${index}` };
      return new Worker(WORKER, { eval: true, workerData });
    });
    await Promise.all(threads.map((thread) => once(thread, "message")));
    const answers = await Promise.all(
      Array.from({ length: 60 }, () => ask(sockets.ports.explicit)),
    );
    assert.deepEqual([...new Set(answers)].sort(), ["worker 0", "worker 1"]);
    await Promise.all(threads.map((thread) => thread.terminate()));
    sockets.close();
  });

  test("connections made while no generation runs wait for the next one", async () => {
    const sockets = openDataPathSockets({ ...options, mode: "explicit", workers: 1 });
    const fd = sockets.workers[0]!.explicit;
    const start = async (name: string) => {
      const child = spawn(process.execPath, ["-e", GENERATION, name], {
        stdio: ["ignore", "pipe", "inherit", fd],
      });
      await once(child.stdout!, "data");
      return child;
    };
    const first = await start("first");
    assert.equal(await ask(sockets.ports.explicit), "first");
    first.kill("SIGKILL");
    await once(first, "exit");
    const waiting = Array.from({ length: 50 }, () => ask(sockets.ports.explicit));
    const second = await start("second");
    assert.deepEqual([...new Set(await Promise.all(waiting))], ["second"]);
    second.kill("SIGKILL");
    await once(second, "exit");
    sockets.close();
  });
});
