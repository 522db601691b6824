import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";

/** The header that proves that a request was made by our own page. */
export const CSRF_HEADER = "x-hostmesh-csrf";

/** Was it made by a page of ours? Browsers send `Origin` with every request that is no plain GET, and with WebSockets. */
export function isOwnOrigin({ headers }: IncomingMessage, isSecure: boolean): boolean {
  const { origin, host } = headers;
  if (origin === undefined || !URL.canParse(origin)) return false;
  const { protocol, host: from } = new URL(origin);
  // Behind a proxy that ends TLS for us the page is https and we are not.
  const isScheme = protocol === "https:" || (!isSecure && protocol === "http:");
  return isScheme && from === normalised(host, protocol);
}

/** Is it a request of another site's page? Clients that are no browsers send neither header. */
export function isFromElsewhere(request: IncomingMessage, isSecure: boolean): boolean {
  const site = request.headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin" && site !== "none") return true;
  return request.headers.origin !== undefined && !isOwnOrigin(request, isSecure);
}

/** Compares texts of any length without telling by its time where they differ. */
export function isSameText(given: string, expected: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}

/** Origins leave out the default port of their scheme. */
function normalised(host: string | undefined, protocol: string): string | null {
  const text = `${protocol}//${host ?? ""}`;
  return host !== undefined && URL.canParse(text) ? new URL(text).host : null;
}
