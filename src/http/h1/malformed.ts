import { MeshError } from "../../core/errors.ts";

/** Whose message it is: decides which error a malformed one gets. */
export type Side = "request" | "response";

/** `BAD_REQUEST` for what a client sent, `UPSTREAM_PROTOCOL` for what an endpoint sent. */
export function malformed(side: Side, detail: string): MeshError {
  return new MeshError(side === "request" ? "BAD_REQUEST" : "UPSTREAM_PROTOCOL", detail);
}

/** Hostile text made fit for a log line or an error body: quoted, printable ASCII, at most 64 characters. */
export function quoted(text: string): string {
  const short = text.length > 64 ? `${text.slice(0, 64)}...` : text;
  return JSON.stringify(short).replace(
    /[^\x20-\x7e]/g,
    (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}
