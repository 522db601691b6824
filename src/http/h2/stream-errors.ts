import { MeshError } from "../../core/errors.ts";
import { http2ErrorName } from "../../core/http2.ts";
import { HOW_TO_DECLARE, speaksHttp1 } from "../other-version.ts";
import { CANCEL } from "./codes.ts";
import { ConnectionError } from "./errors.ts";
import { HTTP1_ANSWER } from "./frame-rules.ts";

/** How a stream ended before its time. */
export interface StreamEnd {
  readonly code: number;
  /** The endpoint said so, or is gone. */
  readonly byPeer: boolean;
  /** It has not looked at the request, and says so. */
  readonly isRefused: boolean;
  /** The head of its response had come. */
  readonly isAnswered: boolean;
}

/** The connection that the stream was on. */
export interface StreamSession {
  readonly state: "open" | "closing" | "closed";
  readonly error: Error | null;
}

/** The failure of a request whose stream was reset, or went with its connection (RFC 9113 sections 5.4 and 8.7). */
export function resetError(peer: string, end: StreamEnd, session: StreamSession): MeshError {
  const { code, byPeer, isRefused, isAnswered } = end;
  const name = http2ErrorName(code);
  if (isRefused && !isAnswered) return new MeshError("UPSTREAM_REFUSED", `${peer}, ${name}`);
  if (session.state !== "open") return lostError(peer, isAnswered, session.error);
  if (!byPeer) {
    // What broke no rule was given up because nothing of it moved.
    if (code !== CANCEL) return new MeshError("UPSTREAM_PROTOCOL", `${peer}, ${name}`);
    return new MeshError(isAnswered ? "UPSTREAM_STALLED" : "UPSTREAM_TIMEOUT", peer);
  }
  const detail = `${peer}, the stream was reset: ${name}`;
  return new MeshError(isAnswered ? "UPSTREAM_TRUNCATED" : "UPSTREAM_RESET", detail);
}

function lostError(peer: string, isAnswered: boolean, cause: Error | null): MeshError {
  if (cause instanceof ConnectionError) {
    return new MeshError("UPSTREAM_PROTOCOL", `${peer}, ${saidOf(cause)}`, cause);
  }
  const detail = `${peer}, the connection was lost`;
  const code = isAnswered ? "UPSTREAM_TRUNCATED" : "UPSTREAM_RESET";
  return new MeshError(code, detail, cause ?? undefined);
}

/**
 * Why a connection ended before the endpoint had shown that it speaks HTTP/2; no request was sent on it. `isLate`: its
 * SETTINGS were waited for as long as they may take.
 */
export function greetingError(peer: string, isLate: boolean, cause: Error | null): MeshError {
  if (isLate) return new MeshError("CONNECT_TIMEOUT", `${peer}, no SETTINGS in time`);
  if (cause instanceof ConnectionError) {
    const isHttp1 = cause.message === HTTP1_ANSWER;
    const detail = isHttp1
      ? speaksHttp1(peer)
      : `${peer} does not speak HTTP/2, ${saidOf(cause)}; ${HOW_TO_DECLARE}`;
    return new MeshError("UPSTREAM_PROTOCOL", detail, cause);
  }
  const detail = `${peer}, the connection ended before SETTINGS of HTTP/2 had come; ${HOW_TO_DECLARE}`;
  return new MeshError("CONNECT_FAILED", detail, cause ?? undefined);
}

function saidOf({ code, message }: ConnectionError): string {
  return `${http2ErrorName(code)}: ${message}`;
}

/** What carried the request was broken off by us. */
export function goneError(peer: string): MeshError {
  return new MeshError("UPSTREAM_RESET", `${peer}, broken off`);
}
