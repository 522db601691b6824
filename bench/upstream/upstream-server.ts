import { once } from "node:events";
import { type AddressInfo, createServer, type Server } from "node:net";
import { Answers } from "./answers.ts";
import { UpstreamConnection } from "./upstream-connection.ts";

/** Enough for a proxy that opens all its connections at once. */
const BACKLOG = 4_096;

/** Servers that answer `GET /N`, and `N` and a line feed over raw TCP, with N bytes. */
export interface UpstreamServer {
  readonly ports: readonly number[];
  /** Ends the servers and their connections. */
  close(): void;
}

/** Listens on as many free ports of an address. Rejects where it cannot. */
export async function listenUpstream(host: string, ports: number): Promise<UpstreamServer> {
  const answers = new Answers();
  const connections = new Set<UpstreamConnection>();
  const servers: Server[] = [];
  for (let count = 0; count < ports; count++) {
    // With `pauseOnConnect` nothing is read before the connection reads for itself.
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
      const connection = new UpstreamConnection(socket, answers, () => {
        connections.delete(connection);
      });
      connections.add(connection);
    });
    server.listen({ host, port: 0, backlog: BACKLOG });
    await once(server, "listening");
    servers.push(server);
  }
  return {
    ports: servers.map((server) => (server.address() as AddressInfo).port),
    close() {
      answers.stop();
      for (const server of servers) server.close();
      for (const connection of connections) connection.destroy();
    },
  };
}
