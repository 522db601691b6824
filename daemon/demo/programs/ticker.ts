import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { listenAndAnnounce } from "./announce.ts";
import { endWithParent } from "./lifeline.ts";

/**
 * An opaque TCP service that speaks first, as SMTP or MySQL do: a greeting, then one answer per line.
 * A proxy that waits for the client's first bytes would hang here for ever.
 */
let ticks = 0;

const server = createServer({ allowHalfOpen: true }, (socket) => {
  socket.on("error", () => socket.destroy());
  socket.write("220 ticker ready\r\n");
  const lines = createInterface({ input: socket });
  // It hands the socket's errors on: a client that resets must not end the program.
  lines.on("error", () => socket.destroy());
  lines.on("line", (line) => {
    ticks += 1;
    socket.write(line === "tick" ? `250 tock ${ticks}\r\n` : `500 unknown word, say tick\r\n`);
  });
  lines.on("close", () => socket.end());
});

endWithParent();
listenAndAnnounce(server);
