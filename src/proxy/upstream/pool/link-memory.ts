import type { Clock } from "../../../core/clock.ts";

/**
 * How another host is spoken to:
 * - `link`: requests and opaque TCP as streams of HTTP/2
 * - `hbone`: it takes tunnels (HBONE's CONNECT) only, requests go inside
 * - `older`: a connection of its own for each, in the form of `dialMesh`
 * - `oldest`: the same, and what is HTTP/2 goes as HTTP/1.1
 */
export type LinkForm = "link" | "hbone" | "older" | "oldest";

/** A host that was replaced by a newer version is found out within this time. */
const OLDER_MS = 60_000;
/** Certificates may come at any moment. */
const PLAIN_MS = 1_000;

/** What is known of how one other host speaks, by whatever identities. */
export class LinkMemory {
  #olderUntilMs = 0;
  #oldestUntilMs = 0;

  form(clock: Clock): Exclude<LinkForm, "hbone"> {
    if (this.#olderUntilMs === 0) return "link";
    const nowMs = clock.now();
    if (nowMs >= this.#olderUntilMs) return "link";
    return nowMs < this.#oldestUntilMs ? "oldest" : "older";
  }

  noteOlder(clock: Clock): void {
    this.#olderUntilMs = clock.now() + OLDER_MS;
  }

  noteOldest(clock: Clock): void {
    this.#oldestUntilMs = clock.now() + OLDER_MS;
  }

  /** It is not known: there are no identities here to find out with. */
  notePlain(clock: Clock): void {
    this.#olderUntilMs = clock.now() + PLAIN_MS;
  }

  noteLinked(): void {
    this.#olderUntilMs = 0;
    this.#oldestUntilMs = 0;
  }
}
