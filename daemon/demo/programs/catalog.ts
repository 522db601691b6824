import { createServer } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { listenAndAnnounce } from "./announce.ts";
import { endWithParent, numberFrom } from "./lifeline.ts";

/** The catalogue: an ordinary HTTP server. `LATENCY_MS` is its pace. */
const INSTANCE = process.env["INSTANCE"] ?? "catalog";
const LATENCY_MS = numberFrom("LATENCY_MS", 8);
const ITEMS = ["teapot", "kettle", "tea strainer", "tea cosy"];

const server = createServer(async (_request, response) => {
  await delay(LATENCY_MS * (0.75 + Math.random() / 2));
  response.writeHead(200, { "content-type": "application/json" });
  response.end(`${JSON.stringify({ instance: INSTANCE, items: ITEMS })}\n`);
});

endWithParent();
listenAndAnnounce(server);
