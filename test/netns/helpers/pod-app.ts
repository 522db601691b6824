/**
 * A server as people run it in a pod: HTTP on 8080, answered with what it saw of the request. At SIGTERM it goes on for
 * as long as it was told (the usual preStop sleep), then takes no more connections, ends those that are idle, answers
 * what it has begun and exits with code 0. Arguments: its name, that time in ms, the delay of its answers in ms.
 */
import { createServer } from "node:http";
import { canonicalAddress } from "../../../src/core/address.ts";
import { answerLines } from "./answer-lines.ts";

const [name = "pod", lameDuckMs = "0", delayMs = "0"] = process.argv.slice(2);
let requests = 0;

const web = createServer((request, response) => {
  requests += 1;
  const { method, url, headers, socket } = request;
  const remote = canonicalAddress(socket.remoteAddress ?? "");
  response.setHeader("x-served-by", name);
  const answer = () => response.end(JSON.stringify({ server: name, remote, method, url, headers }));
  if (delayMs === "0") answer();
  else setTimeout(answer, Number(delayMs));
});

process.once("SIGTERM", () => {
  setTimeout(() => web.close(() => process.exit(0)), Number(lameDuckMs));
});

await new Promise<void>((resolve) => web.listen(8_080, "::", resolve));
answerLines(() => ({ requests }));
