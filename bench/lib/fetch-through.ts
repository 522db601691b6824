import { request } from "undici";

/** What came back; status 0: nothing did. */
export interface Fetched {
  readonly status: number;
  readonly bytes: number;
}

/** One GET for a host through the proxy at this port, as wrk asks it. */
export async function fetchThrough(port: number, host: string, path: string): Promise<Fetched> {
  try {
    const { statusCode, body } = await request(`http://127.0.0.1:${port}${path}`, {
      headers: { host },
      headersTimeout: 2_000,
      bodyTimeout: 2_000,
      reset: true,
    });
    return { status: statusCode, bytes: (await body.arrayBuffer()).byteLength };
  } catch {
    // Refused, reset or late: the caller asks again, or says what it was waiting for.
    return { status: 0, bytes: 0 };
  }
}
