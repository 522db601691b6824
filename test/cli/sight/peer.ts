import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";

/** Answers of a path: status and JSON, or whatever the function writes. */
export type Answer =
  | readonly [status: number, body: unknown]
  | ((request: IncomingMessage, response: ServerResponse) => void);

/** A registry or a daemon, as far as the commands speak to it. */
export interface Peer {
  readonly url: string;
  /** By path, without the query. */
  readonly answers: Map<string, Answer>;
  /** Bodies of POST, by path. */
  readonly bodies: Map<string, unknown>;
  close(): void;
}

export async function openPeer(): Promise<Peer> {
  const answers = new Map<string, Answer>();
  const bodies = new Map<string, unknown>();
  const server: Server = createServer(async (request, response) => {
    const path = new URL(request.url ?? "", "http://x").pathname;
    if (request.method === "POST") bodies.set(path, await json(request));
    const answer = answers.get(path) ?? [404, { error: "there is nothing at this path" }];
    if (typeof answer === "function") return answer(request, response);
    response.writeHead(answer[0], { "content-type": "application/json" });
    response.end(JSON.stringify(answer[1]));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answers,
    bodies,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
