/**
 * A generation process for tests of the guardian: it answers on the listeners that it inherits with its
 * process id, and fails as the environment or a client says.
 */
import { createServer } from "node:net";
import { env } from "node:process";
import type {
  FromGeneration,
  GenerationStart,
  ToGeneration,
} from "../../daemon/generation-messages.ts";

const tell = (message: FromGeneration) => process.send?.(message);
let serving = true;
let open = 0;
let addresses = ["10.1.0.1"];
let guarded: string[] = [];
/** What the guardian said last of the capture. */
let capture = "";

process.on("SIGINT", () => undefined);
process.on("message", (message: ToGeneration) => {
  if (message.type === "start") begin(message.start);
  else if (message.type === "capture")
    capture = `active ${message.active}, released ${message.released}`;
  else if (message.type === "drain") setTimeout(() => drain(), message.lingerMs);
});
process.on("disconnect", () => process.exit(0));

const servers: ReturnType<typeof createServer>[] = [];

function begin(start: GenerationStart): void {
  if (env["FAIL_AT_START"] !== undefined) {
    tell({ type: "failed", reason: "told to fail" });
    process.exit(3);
  }
  for (const { fd } of start.listeners) {
    const server = createServer((socket) => {
      open++;
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        open--;
      });
      socket.on("data", (chunk) => {
        const [word = "", ...rest] = chunk.toString().split(" ");
        if (word === "who") socket.write(String(process.pid));
        if (word === "urgent") socket.write(String(start.urgent));
        if (word === "capture") socket.write(capture);
        if (word === "die") process.exit(7);
        if (word === "mute") serving = false;
        if (word === "speak") serving = true;
        if (word === "workloads") addresses = rest;
        if (word === "guarded") guarded = rest;
        if (word === "workloads" || word === "guarded")
          tell({ type: "workloads", addresses, guarded });
        if (word === "stop") tell({ type: "stop-requested" });
        if (word === "release") tell({ type: "release-requested" });
        if (word === "bye") socket.end("bye");
      });
    });
    servers.push(server.listen({ fd }));
  }
  setInterval(() => tell({ type: "beat", serving }), 50);
  tell({ type: "workloads", addresses, guarded });
  tell({ type: "ready", ports: { admin: 1, metrics: 2, ready: 3 } });
}

function drain(): void {
  for (const server of servers) server.close();
  const timer = setInterval(() => {
    if (open > 0) return;
    clearInterval(timer);
    process.exit(0);
  }, 5);
}
