import { once } from "node:events";
import { createServer, request, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { TestContext } from "node:test";

/** What becomes of a call. `lost`: etcd does it and the answer never comes. `stuck`: no byte of an answer passes. */
export type Fate = "pass" | "lost" | "stuck" | "refused";

export interface EtcdRelay {
  readonly url: string;
  /** Asked for each call; and for each piece of an answer, where `pass` lets it through. */
  fate: (path: string, isAnswer: boolean) => Fate;
  /** Calls by path, in order. */
  readonly calls: string[];
  /** Ends all connections. */
  cut(): void;
}

/** A member of etcd as one client sees it through a bad network. */
export async function etcdRelay(t: TestContext, target: string): Promise<EtcdRelay> {
  const sockets = new Set<Socket>();
  const server = createServer((incoming, response) => {
    const path = incoming.url ?? "";
    relay.calls.push(path);
    const fate = relay.fate(path, false);
    if (fate === "refused") {
      incoming.socket.destroy();
      return;
    }
    const outgoing = request(`${target}${path}`, { method: "POST", headers: incoming.headers });
    incoming.pipe(outgoing);
    outgoing.on("error", () => response.destroy());
    response.on("close", () => outgoing.destroy());
    outgoing.on("response", (answer) => {
      if (fate === "lost") {
        answer.resume().once("end", () => incoming.socket.destroy());
        return;
      }
      if (fate === "stuck") return;
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      // The head of a watch's answer comes at once.
      response.flushHeaders();
      answer.on("data", (chunk: Buffer) => pass(path, chunk, response));
      answer.on("end", () => response.end());
      answer.on("error", () => response.destroy());
    });
  });
  const pass = (path: string, chunk: Buffer, response: ServerResponse) => {
    if (relay.fate(path, true) === "pass") response.write(chunk);
  };
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const relay: EtcdRelay = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    fate: () => "pass",
    calls: [],
    cut() {
      for (const socket of sockets) socket.destroy();
    },
  };
  t.after(() => {
    relay.cut();
    server.close();
  });
  return relay;
}
