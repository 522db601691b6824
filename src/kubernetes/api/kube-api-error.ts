import { isRecord } from "./objects.ts";

const MESSAGE_LENGTH = 500;

/** The API server has answered, and said no. */
export class KubeApiError extends Error {
  override readonly name = "KubeApiError";
  /** Of HTTP, from 400 on; of a watch that went wrong, what its ERROR event says. */
  readonly status: number;
  /** Kubernetes' word for it: `NotFound`, `Conflict`, `Expired`; empty where there is none. */
  readonly reason: string;
  /** How long the server wants to be left alone, in ms; null: it does not say. */
  readonly retryAfterMs: number | null;

  constructor(status: number, reason: string, message: string, retryAfterMs: number | null = null) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

/** `body`: a Status (meta/v1) if all is well, or what something between here and there said. */
export function readApiError(
  status: number,
  body: unknown,
  retryAfterMs: number | null = null,
): KubeApiError {
  if (!isRecord(body)) {
    const text = typeof body === "string" ? body.trim().slice(0, MESSAGE_LENGTH) : "";
    return new KubeApiError(status, "", text || `the API server answered ${status}`, retryAfterMs);
  }
  const { code, reason, message, details } = body;
  const asked = isRecord(details) ? details["retryAfterSeconds"] : undefined;
  const askedMs = typeof asked === "number" && asked > 0 ? asked * 1_000 : null;
  return new KubeApiError(
    typeof code === "number" && code >= 400 ? code : status,
    typeof reason === "string" ? reason : "",
    typeof message === "string" && message !== ""
      ? message.slice(0, MESSAGE_LENGTH)
      : `the API server answered ${status}`,
    retryAfterMs ?? askedMs,
  );
}

/** Has the resourceVersion, or the continuation of a list, gone from the server's history? 410 Gone or Expired. */
export function isGone(error: unknown): boolean {
  return error instanceof KubeApiError && (error.status === 410 || error.reason === "Expired");
}
