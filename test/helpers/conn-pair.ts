import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { ConnHandler } from "../../src/http/carrier.ts";
import type { Conn } from "../../src/http/conn.ts";
import { acceptConn } from "../../src/http/open-conn.ts";

/** Remembers what a connection told, and does with bytes what the test says. */
export class ConnProbe implements ConnHandler {
  text = "";
  bytes = 0;
  fins = 0;
  drains = 0;
  closes = 0;
  error: Error | null = null;
  take: (chunk: Buffer, end: number) => void = (chunk, end) => {
    this.text += chunk.toString("latin1", 0, end);
  };

  onBytes(chunk: Buffer, end: number): void {
    this.bytes += end;
    this.take(chunk, end);
  }

  onFin(): void {
    this.fins += 1;
  }

  onDrain(): void {
    this.drains += 1;
  }

  onClose(error: Error | null): void {
    this.closes += 1;
    this.error = error;
  }
}

/** An accepted connection of ours, and the plain socket at its other end. */
export interface ConnPair {
  readonly conn: Conn;
  readonly probe: ConnProbe;
  readonly peer: Socket;
  close(): void;
}

const open: ConnPair[] = [];

/** Closes every pair that was made: a test that failed must not keep the process alive. */
export function closePairs(): void {
  for (const pair of open.splice(0)) pair.close();
}

export async function connPair(): Promise<ConnPair> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const peer = connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
  peer.on("error", () => peer.destroy());
  const [[accepted]] = (await Promise.all([once(server, "connection"), once(peer, "connect")])) as [
    [Socket],
    unknown,
  ];
  server.close();
  const probe = new ConnProbe();
  const conn = acceptConn(accepted, probe);
  const pair = {
    conn,
    probe,
    peer,
    close: () => {
      peer.destroy();
      conn.destroy();
    },
  };
  open.push(pair);
  return pair;
}
