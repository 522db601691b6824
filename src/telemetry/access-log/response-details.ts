import type { MeshErrorCode } from "../../core/errors.ts";

/** Envoy's words for a response that came from an endpoint, and for one that the proxy was told to give. */
export const VIA_UPSTREAM = "via_upstream";
export const DIRECT_RESPONSE = "direct_response";

/**
 * What Envoy's RESPONSE_CODE_DETAILS says of each failure (Envoy's documentation, "Response code details"), and the same
 * style of words where it has no such failure.
 */
export const RESPONSE_DETAILS: Readonly<Record<MeshErrorCode, string>> = {
  BAD_REQUEST: "http1.codec_error",
  REQUEST_LINE_TOO_LONG: "request_line_too_long",
  HEAD_TOO_LARGE: "request_headers_too_large",
  HEAD_TIMEOUT: "request_header_timeout",
  EXPECTATION_FAILED: "expectation_failed",
  VERSION_NOT_SUPPORTED: "low_version",
  NOT_IMPLEMENTED: "http1.invalid_transfer_encoding",
  REQUEST_BODY_TIMEOUT: "stream_idle_timeout",
  CLIENT_CLOSED: "downstream_remote_disconnect",
  NO_ROUTE: "route_not_found",
  LOOP: "loop_detected",
  FORBIDDEN_DESTINATION: "forbidden_destination",
  FORBIDDEN_PORT: "route_not_found",
  TOKEN_INVALID: "jwt_authn_access_denied",
  ACCESS_DENIED: "rbac_access_denied",
  PLAINTEXT_REFUSED: "plaintext_refused",
  MTLS_UNAVAILABLE: "mtls_unavailable",
  NO_ENDPOINT: "no_healthy_upstream",
  POOL_QUEUE_FULL: "upstream_reset_before_response_started{overflow}",
  POOL_QUEUE_TIMEOUT: "upstream_reset_before_response_started{overflow}",
  CONNECTION_LIMIT: "overload",
  QUOTA_CONNECTIONS: "workload_quota_exceeded",
  QUOTA_REQUESTS: "workload_quota_exceeded",
  QUOTA_BUFFERS: "workload_quota_exceeded",
  RATE_LIMITED: "local_rate_limited",
  CIRCUIT_OPEN: "upstream_reset_before_response_started{overflow}",
  CONCURRENCY_LIMIT: "reached_concurrency_limit",
  ROUTE_NOT_FOUND: "route_not_found",
  BACKEND_UNKNOWN: "cluster_not_found",
  FAULT_INJECTED: "fault_filter_abort",
  INTERNAL: "internal_error",
  CONNECT_REFUSED: "upstream_reset_before_response_started{remote_connection_failure}",
  CONNECT_TIMEOUT: "upstream_reset_before_response_started{connection_timeout}",
  CONNECT_FAILED: "upstream_reset_before_response_started{remote_connection_failure}",
  TLS_FAILED: "upstream_reset_before_response_started{remote_connection_failure|TLS_error}",
  IDENTITY_MISMATCH:
    "upstream_reset_before_response_started{remote_connection_failure|TLS_error|identity_mismatch}",
  MESH_REFUSED: "upstream_reset_before_response_started{remote_connection_failure}",
  UPSTREAM_REFUSED: "upstream_reset_before_response_started{remote_refused_stream_reset}",
  UPSTREAM_RESET: "upstream_reset_before_response_started{connection_termination}",
  UPSTREAM_TRUNCATED: "upstream_reset_after_response_started{connection_termination}",
  UPSTREAM_PROTOCOL: "upstream_reset_before_response_started{protocol_error}",
  UPSTREAM_TIMEOUT: "response_timeout",
  TRY_TIMEOUT: "upstream_per_try_timeout",
  REQUEST_TIMEOUT: "response_timeout",
  UPSTREAM_STALLED: "stream_idle_timeout",
};
