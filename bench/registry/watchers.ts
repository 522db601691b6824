import { WebSocket } from "ws";

/**
 * A child process with many simulated daemons. Tells its parent when all of them are current, and the
 * time (of the process-wide monotonic clock, in ms) at which the last of them had a later revision.
 */
const [, , url = "", count = "0"] = process.argv;
const total = Number(count);
const sockets: WebSocket[] = [];
const held = new Map<number, number>();

function begin(revision: number, epoch: string): void {
  for (let index = 0; index < total; index++) {
    const socket = new WebSocket(`${url.replace("http", "ws")}/v1/mesh/watch`, {
      perMessageDeflate: false,
    });
    sockets.push(socket);
    const facts = { type: "hello", protocol: 1, host: `sim-${process.pid}-${index}`, zone: "" };
    socket.on("open", () =>
      socket.send(JSON.stringify({ ...facts, version: "", epoch, revision })),
    );
    socket.on("error", (error) => process.send?.({ error: error.message }));
    socket.on("message", (data: Buffer) => receive(socket, index, data.toString("utf8")));
  }
}

function receive(socket: WebSocket, index: number, text: string): void {
  const message: unknown = JSON.parse(text);
  if (typeof message !== "object" || message === null || !("type" in message)) return;
  if (message.type === "welcome") note(index, 0);
  if (message.type !== "update" || !("to" in message) || !("last" in message)) return;
  const revision = Number(message.to);
  if (message.last !== true) return;
  socket.send(JSON.stringify({ type: "ack", revision }));
  note(index, revision);
}

function note(index: number, revision: number): void {
  held.set(index, revision);
  const all = [...held.values()];
  if (all.length < total || all.some((each) => each !== revision)) return;
  process.send?.({ revision, atMs: Number(process.hrtime.bigint()) / 1e6 });
}

process.on("message", (message) => {
  if (typeof message !== "object" || message === null) return;
  if ("epoch" in message && "revision" in message) {
    begin(Number(message.revision), String(message.epoch));
  }
});
process.once("disconnect", () => {
  for (const socket of sockets) socket.terminate();
});
