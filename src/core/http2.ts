/** Names of HTTP/2's error codes, in the order of the codes (RFC 9113 section 7), and one for all that have none. */
export const HTTP2_ERRORS = [
  "NO_ERROR",
  "PROTOCOL_ERROR",
  "INTERNAL_ERROR",
  "FLOW_CONTROL_ERROR",
  "SETTINGS_TIMEOUT",
  "STREAM_CLOSED",
  "FRAME_SIZE_ERROR",
  "REFUSED_STREAM",
  "CANCEL",
  "COMPRESSION_ERROR",
  "CONNECT_ERROR",
  "ENHANCE_YOUR_CALM",
  "INADEQUATE_SECURITY",
  "HTTP_1_1_REQUIRED",
  "UNKNOWN",
] as const;

/** Place of a code in `HTTP2_ERRORS`: a bounded set, whatever a peer sends. */
export function http2ErrorIndex(code: number): number {
  return Math.min(code, HTTP2_ERRORS.length - 1);
}

export function http2ErrorName(code: number): string {
  return HTTP2_ERRORS[http2ErrorIndex(code)] ?? "UNKNOWN";
}

/** Whose connection it is: a client's, or one to an endpoint. */
export const HTTP2_SIDES = ["downstream", "upstream"] as const;
export type Http2Side = (typeof HTTP2_SIDES)[number];

/**
 * What is counted of connections of HTTP/2, by error code: streams of the peer that were refused, connections that ended
 * here for an error, and frames.
 */
export const HTTP2_COUNTS = [
  "refused",
  "failed",
  "goaway-sent",
  "goaway-received",
  "reset-received",
] as const;
export type Http2Count = (typeof HTTP2_COUNTS)[number];
