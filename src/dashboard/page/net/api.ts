import type { Applied, Backend, ConfigResource, Session, Split } from "./types.ts";

/** An answer that is no success: its status and what it says. */
export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Longest wait for an answer. */
const PATIENCE_MS = 10_000;

/** Calls of the page's server. The token against forged requests comes with the session and goes with every change. */
export class Api {
  #csrf = "";

  async session(): Promise<Session> {
    const session = await this.#call<Session>("GET", "/api/session");
    this.#csrf = session.csrf;
    return session;
  }

  login(token: string): Promise<unknown> {
    return this.#call("POST", "/api/login", { token });
  }

  logout(): Promise<unknown> {
    return this.#call("POST", "/api/logout", {});
  }

  async config(): Promise<readonly ConfigResource[]> {
    const answer = await this.#call<{ resources: ConfigResource[] }>("GET", "/api/config");
    return answer.resources;
  }

  applied(service: string): Promise<Applied> {
    return this.#call("GET", `/api/services/${pathOf(service)}`);
  }

  split(service: string): Promise<Split> {
    return this.#call("GET", `/api/services/${pathOf(service)}/split`);
  }

  async previewSplit(service: string, backends: readonly Backend[]): Promise<string> {
    const body = { service, backends };
    const answer = await this.#call<{ yaml: string }>("POST", "/api/split-preview", body);
    return answer.yaml;
  }

  writeSplit(
    service: string,
    backends: readonly Backend[],
    revision: number | undefined,
  ): Promise<{ readonly revision: number }> {
    return this.#call("PUT", `/api/services/${pathOf(service)}/split`, { backends, revision });
  }

  async #call<T>(method: string, path: string, body?: object): Promise<T> {
    const headers: Record<string, string> = { accept: "application/json" };
    if (body !== undefined) headers["content-type"] = "application/json";
    if (method !== "GET") headers["x-hostmesh-csrf"] = this.#csrf;
    const response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      credentials: "same-origin",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    const text = await response.text();
    if (!response.ok) throw new ApiError(response.status, messageOf(text, response.status));
    return (text === "" ? null : JSON.parse(text)) as T;
  }
}

function pathOf(name: string): string {
  return name.split("/").map(encodeURIComponent).join("/");
}

/** Servers tell errors as `{error: {message}}` or `{error}` or as text. */
function messageOf(text: string, status: number): string {
  try {
    const { error, message } = JSON.parse(text) as { error?: unknown; message?: unknown };
    if (typeof error === "string") return error;
    if (typeof message === "string") return message;
    if (typeof error === "object" && error !== null && "message" in error) {
      return String(error.message);
    }
  } catch {
    // No JSON: a proxy between may have answered.
  }
  return text.slice(0, 200) || `the server answered ${status}`;
}
