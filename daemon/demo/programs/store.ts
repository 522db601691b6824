import { createServer } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { listenAndAnnounce } from "./announce.ts";
import { endWithParent, numberFrom } from "./lifeline.ts";

/** The store: says how many of each item are left. */
const INSTANCE = process.env["INSTANCE"] ?? "store";
const LATENCY_MS = numberFrom("LATENCY_MS", 3);
let sold = 0;

const server = createServer(async (_request, response) => {
  await delay(LATENCY_MS * (0.75 + Math.random() / 2));
  sold += 1;
  response.writeHead(200, { "content-type": "application/json" });
  response.end(`${JSON.stringify({ instance: INSTANCE, left: 1_000_000 - sold })}\n`);
});

endWithParent();
listenAndAnnounce(server);
