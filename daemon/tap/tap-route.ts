import type { ServerResponse } from "node:http";
import * as z from "zod";
import type { TapItem } from "../../src/sight/tap-event.ts";
import { tapFilterSchema, tapLimitsSchema } from "../../src/sight/tap-schema.ts";
import { json, type Reply, type StreamReply } from "../control-server.ts";
import { type TapHub, TooManyTaps } from "./tap-hub.ts";

/** Bytes that wait for a client that reads slowly: beyond them events are dropped and counted. */
const MAX_WAITING_BYTES = 262_144;
/** A client that has taken nothing for so long while as much waits is gone. */
const STALLED_MS = 10_000;

const tapBody = z.strictObject({
  filter: tapFilterSchema.default({}),
  limits: tapLimitsSchema.prefault({}),
});

/** `POST /sight/tap`: one `TapItem` in each line of JSON, until the client goes or the tap's time is over. */
export async function tapRoute(
  hub: Pick<TapHub, "open">,
  body: unknown,
  stalledMs = STALLED_MS,
): Promise<Reply | StreamReply> {
  const parsed = tapBody.safeParse(body);
  if (!parsed.success) return json(400, { error: z.prettifyError(parsed.error) });
  const { filter, limits } = parsed.data;
  const lines = new TapLines(stalledMs);
  try {
    const close = hub.open(filter, limits, lines);
    return { type: "application/x-ndjson", start: (to) => lines.start(to, close) };
  } catch (error) {
    if (error instanceof TooManyTaps) return json(429, { error: error.message });
    throw error;
  }
}

/** Writes what a tap shows to one client, and never more than it takes. */
class TapLines {
  readonly #stalledMs: number;
  #to: ServerResponse | null = null;
  #isOver = false;
  #stalled: NodeJS.Timeout | null = null;

  constructor(stalledMs: number) {
    this.#stalledMs = stalledMs;
  }

  start(to: ServerResponse, close: () => void): void {
    this.#to = to;
    to.on("error", () => to.destroy());
    to.on("drain", () => this.#unstall());
    to.on("close", () => {
      this.#unstall();
      close();
    });
    // It may have gone before the head was written.
    if (to.destroyed || to.socket === null) close();
    else if (this.#isOver) to.end();
  }

  onItems(items: readonly TapItem[]): boolean {
    const to = this.#to;
    if (to === null || to.destroyed || to.writableLength > MAX_WAITING_BYTES) return false;
    const isTaken = to.write(items.map((item) => `${JSON.stringify(item)}\n`).join(""));
    if (!isTaken) this.#stalled ??= setTimeout(() => to.destroy(), this.#stalledMs).unref();
    return true;
  }

  onEnd(): void {
    this.#isOver = true;
    this.#to?.end();
  }

  #unstall(): void {
    if (this.#stalled !== null) clearTimeout(this.#stalled);
    this.#stalled = null;
  }
}
