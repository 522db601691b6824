import type { LoadJob } from "../model.ts";

/** The texts of requests, in turn for every service. */
export class Requests {
  readonly #job: LoadJob;
  readonly #texts: readonly string[];
  #sent = 0;

  constructor(job: LoadJob) {
    const { protocol, bodyBytes, targets } = job;
    this.#job = job;
    this.#texts =
      protocol === "tcp"
        ? targets.map(() => `${bodyBytes}\n`)
        : targets.map(({ authority }) => http(`/${bodyBytes}`, authority, ""));
  }

  /** The next request for one service, or for the one whose turn it is. */
  next(service: number | null): string {
    const sent = this.#sent++;
    const index = service ?? sent % this.#texts.length;
    const { vary, protocol, bodyBytes, targets } = this.#job;
    if (!vary || protocol === "tcp") return this.#texts[index] as string;
    const authority = targets[index]?.authority ?? "";
    return http(`/${bodyBytes}?request=${sent}`, authority, `X-Load-Id: ${sent}\r\n`);
  }
}

function http(path: string, authority: string, fields: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: ${authority}\r\n${fields}\r\n`;
}
