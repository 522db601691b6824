/**
 * Leads connections of a Unix socket, which every namespace can open, to a TCP port of the namespace in which this
 * runs. Arguments: path of the socket, host, port.
 */
import { connect, createServer } from "node:net";
import { answerLines } from "./answer-lines.ts";

const [path = "", host = "", port = ""] = process.argv.slice(2);

const server = createServer({ allowHalfOpen: true }, (near) => {
  const far = connect({ host, port: Number(port), allowHalfOpen: true });
  near.on("error", () => far.destroy());
  far.on("error", () => near.destroy());
  near.on("close", () => far.destroy());
  far.on("close", () => near.destroy());
  near.pipe(far);
  far.pipe(near);
});

await new Promise<void>((resolve) => server.listen(path, resolve));
answerLines(() => ({}));
