import type { TapItem } from "../../sight/tap-event.ts";
import type { RegistryRequest, Reply } from "../route.ts";

/** Events that wait for a slow reader, at most; beyond them they are counted only. */
const MAX_WAITING = 2_000;

/** What a tap shows, for one reader who takes it at his own pace. */
class TapLines implements AsyncIterable<unknown> {
  readonly #waiting: unknown[] = [];
  /** Left out since the last line, by host. */
  readonly #skipped = new Map<string, number>();
  #isOver = false;
  #wake: () => void = () => undefined;

  push(item: TapItem): void {
    if (this.#isOver) return;
    if (this.#waiting.length < MAX_WAITING) this.#waiting.push(item);
    else if (item.type === "skipped") this.#skip(item.host, item.events);
    else this.#skip(item.event.host, 1);
    this.#wake();
  }

  /** No more lines after those that wait; with a reason the last one is `{error}`. */
  end(reason: string | null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (reason !== null) this.#waiting.push({ type: "error", error: reason });
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<unknown> {
    while (true) {
      const next = this.#waiting.shift();
      if (next !== undefined) {
        yield next;
        continue;
      }
      for (const [host, events] of this.#skipped) yield { type: "skipped", host, events };
      this.#skipped.clear();
      if (this.#waiting.length > 0) continue;
      if (this.#isOver) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #skip(host: string, events: number): void {
    this.#skipped.set(host, (this.#skipped.get(host) ?? 0) + events);
  }
}

/** Begins a tap, whose lines are the answer, and ends it when the client goes. */
export function tapReply(
  { closed }: RegistryRequest,
  begin: (onItem: (item: TapItem) => void, onEnd: (reason: string | null) => void) => () => void,
): Reply {
  const lines = new TapLines();
  const end = begin(
    (item) => lines.push(item),
    (reason) => lines.end(reason),
  );
  const gone = () => {
    end();
    lines.end(null);
  };
  if (closed.aborted) gone();
  closed.addEventListener("abort", gone);
  return { lines };
}
