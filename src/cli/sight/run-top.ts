import * as z from "zod";
import { type LiveOutput, liveTable } from "../../../daemon/demo/live-table.ts";
import { paint } from "../../core/terminal.ts";
import { CliError } from "../cli-error.ts";
import { pictureLines } from "./show.ts";
import { type TopView, topPicture } from "./top-picture.ts";
import { TOP_SORTS, type TopTable } from "./top-table.ts";

const event = z.looseObject({
  entry: z.string(),
  source: z.string(),
  destination: z.string().nullable(),
  protocol: z.string(),
  method: z.string(),
  path: z.string(),
  route: z.string(),
  status: z.number(),
  error: z.string().nullable(),
  durationMs: z.number(),
});

const item = z.discriminatedUnion("type", [
  z.looseObject({ type: z.literal("event"), event }),
  z.looseObject({ type: z.literal("skipped"), events: z.number() }),
  z.looseObject({ type: z.literal("error"), error: z.string() }),
]);

/** The keys of a terminal; `process.stdin` is one. */
export interface KeyInput {
  readonly isTTY?: boolean;
  setRawMode?(raw: boolean): unknown;
  on(event: "data", listener: (keys: Buffer | string) => void): unknown;
  off(event: "data", listener: (keys: Buffer | string) => void): unknown;
  resume(): unknown;
  pause(): unknown;
}

/**
 * Adds the items of a tap up until they end. Calls between hosts are seen at both; as in all other figures the caller's host
 * counts, unless both are wanted. Throws a CliError when the tap fails.
 */
export async function collectTop(
  items: AsyncIterable<unknown>,
  table: TopTable,
  bothEnds: boolean,
): Promise<void> {
  for await (const line of items) {
    const { data } = item.safeParse(line);
    // A later version may send more kinds of items; they are nothing to count.
    if (data === undefined) continue;
    if (data.type === "skipped") table.skip(data.events);
    else if (data.type === "error") {
      throw new CliError(`the tap ended: ${data.error}`, {
        remedy: "call it again; hostmesh proxy-status shows who is connected",
      });
    } else if (bothEnds || data.event.entry !== "mesh") table.add(data.event);
  }
}

export interface LiveTop {
  readonly table: TopTable;
  readonly view: Omit<TopView, "maxLines">;
  readonly terminal: { readonly output: LiveOutput; readonly keys: KeyInput };
  readonly color: boolean;
  /** Aborted by this when a key says so, and by others when the tap ends. */
  readonly stop: AbortController;
  /** Between two pictures. */
  readonly intervalMs?: number;
}

/** Of a picture besides its rows: the header, what stands below, and the line that the cursor is on. */
const OTHER_LINES = 7;

/** Shows the table until a key or the signal ends it. `s` changes the order, `p` holds the picture, `q` ends. */
export async function liveTop(live: LiveTop): Promise<void> {
  const { table, terminal, color, stop, intervalMs = 500 } = live;
  const { output } = terminal;
  const state = { sort: live.view.sort, held: null as readonly string[] | null };
  const lines = (width: number): readonly string[] => {
    const maxLines = Math.max(1, (output.rows ?? 24) - OTHER_LINES);
    const picture = topPicture(table, { ...live.view, sort: state.sort, maxLines });
    return pictureLines(picture, width, color);
  };
  const release = listenForKeys(terminal.keys, (key) => {
    if (key === "s") state.sort = nextSort(state.sort);
    else if (key === "p") state.held = state.held === null ? lines(output.columns || 80) : null;
    else if ("qQ\u0003\u0004".includes(key)) stop.abort();
  });
  const footer = () => {
    const order = `by ${state.sort}${state.held === null ? "" : ", held"}`;
    return paint(`${order}; s: other order, p: hold, q: end`, "dim", color);
  };
  try {
    await liveTable({
      read: async () => state,
      frame: (_, { width }) => [...(state.held ?? lines(width)), "", footer()],
      lines: () => lines(Number.POSITIVE_INFINITY),
      output,
      color,
      signal: stop.signal,
      intervalMs,
    });
  } finally {
    release();
  }
}

function nextSort(sort: TopView["sort"]): TopView["sort"] {
  return TOP_SORTS[(TOP_SORTS.indexOf(sort) + 1) % TOP_SORTS.length] ?? sort;
}

/** Hears single keys; returns what gives the terminal back as it was. */
function listenForKeys(keys: KeyInput, onKey: (key: string) => void): () => void {
  if (keys.isTTY !== true) return () => undefined;
  const listener = (data: Buffer | string): void => {
    for (const key of data.toString()) onKey(key);
  };
  keys.setRawMode?.(true);
  keys.on("data", listener);
  keys.resume();
  return () => {
    keys.off("data", listener);
    keys.setRawMode?.(false);
    keys.pause();
  };
}
