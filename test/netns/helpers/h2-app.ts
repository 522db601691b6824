/** An unmodified application of HTTP/2 without TLS, on 8081: answers with what it saw. Argument: its name. */
import { createServer } from "node:http2";
import { canonicalAddress } from "../../../src/core/address.ts";
import { answerLines } from "./answer-lines.ts";

const [name = "app"] = process.argv.slice(2);
let connections = 0;

const web = createServer((request, response) => {
  const remote = canonicalAddress(request.socket.remoteAddress ?? "");
  const { headers, httpVersion: version } = request;
  response.end(JSON.stringify({ server: name, version, remote, headers }));
});
web.on("session", () => {
  connections += 1;
});
await new Promise<void>((resolve) => web.listen(8_081, "::", resolve));

answerLines(() => ({ connections }));
