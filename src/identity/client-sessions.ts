import { LRUCache } from "lru-cache";
import type { VerifiedPeer } from "./peer-verifier.ts";

/** Between whom, and where: a session is never used for another pair. */
export interface SessionKey {
  /** SPIFFE IDs. */
  readonly source: string;
  readonly destination: string;
  readonly host: string;
  readonly port: number;
}

/** What resumes a TLS session, and whom it was made with: a resumed handshake shows no certificate again. */
export interface ClientSession {
  readonly ticket: Buffer;
  readonly peer: VerifiedPeer;
}

/** About 2 KiB each. */
const MAX_SESSIONS = 4_096;

/** TLS sessions that a worker may resume as a client, the most recent ticket of each. */
export class ClientSessions {
  readonly #sessions = new LRUCache<string, ClientSession>({ max: MAX_SESSIONS });

  get size(): number {
    return this.#sessions.size;
  }

  get(key: SessionKey): ClientSession | undefined {
    return this.#sessions.get(textOf(key));
  }

  set(key: SessionKey, session: ClientSession): void {
    this.#sessions.set(textOf(key), session);
  }

  delete(key: SessionKey): void {
    this.#sessions.delete(textOf(key));
  }

  /** Forgets those of one caller, whose certificate is another one now. */
  forget(source: string): void {
    const prefix = `${source} `;
    for (const key of this.#sessions.keys()) if (key.startsWith(prefix)) this.#sessions.delete(key);
  }

  clear(): void {
    this.#sessions.clear();
  }
}

/** No part can hold a space. */
function textOf({ source, destination, host, port }: SessionKey): string {
  return `${source} ${destination} ${host} ${port}`;
}
