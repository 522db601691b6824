import { createServer } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { listenAndAnnounce } from "./announce.ts";
import { endWithParent, numberFrom } from "./lifeline.ts";

/** The store: says how many of each item are left. `FAILURE_RATE` is how often it fails. */
const INSTANCE = process.env["INSTANCE"] ?? "store";
const LATENCY_MS = numberFrom("LATENCY_MS", 3);
const FAILURE_RATE = numberFrom("FAILURE_RATE", 0);
let sold = 0;

const server = createServer(async (request, response) => {
  await delay(LATENCY_MS * (0.75 + Math.random() / 2));
  if (Math.random() < FAILURE_RATE) {
    // Half of the failures are an answer, half of them are none: a server that falls over.
    if (Math.random() < 0.5) return void request.socket.destroy();
    response.writeHead(500, { "content-type": "text/plain" });
    return void response.end("the store has lost its index\n");
  }
  sold += 1;
  response.writeHead(200, { "content-type": "application/json" });
  response.end(`${JSON.stringify({ instance: INSTANCE, left: 1_000_000 - sold })}\n`);
});

endWithParent();
listenAndAnnounce(server);
