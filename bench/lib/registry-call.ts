import { request } from "undici";

/** Filling a large registry takes seconds a request. */
const TIMEOUT_MS = 60_000;

/** One call of the registry's HTTP API. Returns the JSON of its answer; throws what it says from status 300 on. */
export async function registryCall(
  url: string,
  method: "GET" | "PUT" | "POST",
  path: string,
  body?: unknown,
): Promise<unknown> {
  const answer = await request(new URL(path, url), {
    method,
    headersTimeout: TIMEOUT_MS,
    bodyTimeout: TIMEOUT_MS,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  const text = await answer.body.text();
  if (answer.statusCode >= 300) throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`);
  return text.trim() === "" ? null : JSON.parse(text);
}
