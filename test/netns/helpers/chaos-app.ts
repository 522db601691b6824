/**
 * A server of HTTP that misbehaves on demand. Arguments: its name, its port. A question changes what it does from now
 * on, and is answered with how many requests it has read.
 */
import { createServer, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { answerLines } from "./answer-lines.ts";

export type Manner = "well" | "reset" | "garbage" | "half-close" | "silent" | "error";

interface Question {
  readonly manner?: Manner;
  /** Before each answer. */
  readonly delayMs?: number;
}

const [name = "", port = ""] = process.argv.slice(2);
let manner: Manner = "well";
let delayMs = 0;
let requests = 0;

function answer(response: ServerResponse, socket: Socket): void {
  switch (manner) {
    case "well":
      response.setHeader("x-served-by", name);
      response.end(name);
      return;
    case "error":
      response.statusCode = 503;
      response.end();
      return;
    case "reset":
      socket.resetAndDestroy();
      return;
    case "garbage":
      socket.end("\u0016\u0003\u0001 this is no answer\r\n\r\n");
      return;
    case "half-close":
      // What comes from then on is read, and never answered.
      socket.end();
      return;
    case "silent":
      return;
  }
}

const server = createServer((request, response) => {
  requests += 1;
  if (delayMs === 0) answer(response, request.socket);
  else setTimeout(() => answer(response, request.socket), delayMs);
});
server.keepAliveTimeout = 0;
await new Promise<void>((resolve) => server.listen(Number(port), "::", resolve));

answerLines((question: Question) => {
  manner = question.manner ?? manner;
  delayMs = question.delayMs ?? delayMs;
  return { requests };
});
