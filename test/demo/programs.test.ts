import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { afterEach, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { type RunningProgram, startProgram } from "../../daemon/demo/program.ts";
import { until } from "../helpers/until.ts";

const running: RunningProgram[] = [];
afterEach(async () => {
  for (const program of running.splice(0)) await program.stop();
});

async function start(program: string, env: Record<string, string> = {}): Promise<RunningProgram> {
  const started = await startProgram({
    program,
    namespace: null,
    env: { BIND: "127.0.0.1", ...env },
  });
  running.push(started);
  return started;
}

describe("demo programs", () => {
  it("catalog answers with its instance, and store fails as often as it is told to", async () => {
    const { port } = await start("catalog", { INSTANCE: "one", LATENCY_MS: "1" });
    const answer = await fetch(`http://127.0.0.1:${port}/items`);
    assert.equal(answer.status, 200);
    assert.match(await answer.text(), /"instance":"one"/);
    const flaky = await start("store", { LATENCY_MS: "1", FAILURE_RATE: "1" });
    const outcomes = await Promise.allSettled(
      Array.from({ length: 20 }, () => fetch(`http://127.0.0.1:${flaky.port}/items`)),
    );
    assert.ok(
      outcomes.some((each) => each.status === "rejected"),
      "some are resets",
    );
    assert.ok(outcomes.some((each) => each.status === "fulfilled" && each.value.status === 500));
  });

  it("ticker goes on when clients reset their connections", async () => {
    const { port } = await start("ticker");
    for (let at = 0; at < 10; at++) {
      const rude = connect(port, "127.0.0.1");
      await once(rude, "data");
      rude.write("tick\r\n");
      rude.resetAndDestroy();
      await once(rude, "close");
    }
    const socket = connect(port, "127.0.0.1");
    const [greeting] = await once(socket, "data");
    assert.equal(String(greeting), "220 ticker ready\r\n");
    socket.destroy();
  });

  it("ticker speaks first and then answers line by line", async () => {
    const { port } = await start("ticker");
    const socket = connect(port, "127.0.0.1");
    const lines: string[] = [];
    for await (const line of createInterface({ input: socket })) {
      lines.push(line);
      if (lines.length === 1) socket.write("tick\r\n");
      if (lines.length === 2) socket.end("what\r\n");
    }
    assert.deepEqual(lines, ["220 ticker ready", "250 tock 1", "500 unknown word, say tick"]);
  });

  it("says why a program could not start", async () => {
    await assert.rejects(start("catalog", { PORT: "70000" }), /demo program catalog ended at once/);
  });

  it("ends when the process that started it is killed", async () => {
    const file = fileURLToPath(new URL("../../daemon/demo/program.ts", import.meta.url));
    const script = `const { startProgram } = await import(${JSON.stringify(file)});
      const { port } = await startProgram({ program: "store", namespace: null, env: { BIND: "127.0.0.1" } });
      console.log(port); setInterval(() => {}, 1e6);`;
    const parent = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [line] = await once(createInterface({ input: parent.stdout }), "line");
    const port = Number(line);
    assert.ok(await listens(port));
    parent.kill("SIGKILL");
    await until(async () => !(await listens(port)), { what: "the end of the program" });
  });
});

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
