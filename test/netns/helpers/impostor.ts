/**
 * Stands in the place of a mesh port: shows the certificate that it is given, demands nothing, grants everything, and
 * keeps what it is sent. Argument: the port. A question `{ cert, key }` gives it a certificate; each is answered with
 * what it has been sent since the last one.
 */
import { createServer } from "node:tls";
import { MESH_ALPN, MESH_GRANT } from "../../../src/http/h1/mesh-connect.ts";
import { answerLines } from "./answer-lines.ts";

const port = Number(process.argv[2]);
let received = "";

const server = createServer(
  {
    ...{ requestCert: true, rejectUnauthorized: false, minVersion: "TLSv1.2" },
    ALPNProtocols: [MESH_ALPN],
  },
  (socket) => {
    socket.on("error", () => socket.destroy());
    socket.once("data", () => socket.write(MESH_GRANT));
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
    });
  },
);
await new Promise<void>((resolve) => server.listen(port, "0.0.0.0", resolve));

answerLines(({ cert, key }: { readonly cert?: string; readonly key?: string }) => {
  const report = { received };
  if (cert !== undefined && key !== undefined) server.setSecureContext({ cert, key });
  received = "";
  return report;
});
