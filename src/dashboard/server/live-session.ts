import type { RawData, WebSocket } from "ws";
import * as z from "zod";
import type { Clock } from "../../core/clock.ts";
import { hostilePart } from "../../core/hostile-part.ts";
import { issuesOf } from "../../core/schema-issue.ts";
import { RegistryError } from "../../registry/registry-error.ts";
import type { Timers } from "../../registry/timers.ts";
import type { TapItem, TapLimits } from "../../sight/tap-event.ts";
import { tapFilterSchema } from "../../sight/tap-schema.ts";
import type { MeshSight } from "./mesh-sight.ts";
import type { RefusalReason } from "./refusals.ts";
import type { Visitor } from "./visitor.ts";

/** What a person can follow, of one host. */
const TAP: TapLimits = { perSecond: 50, durationMs: 600_000 };
/** Messages of one page in a window; beyond it the page is broken, or means harm. */
const MAX_MESSAGES = 30;
const WINDOW_MS = 10_000;

const messageSchema = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("tap"),
    filter: tapFilterSchema,
    /** Absent: of all hosts. */
    hosts: z.array(z.string().min(1).max(512)).min(1).max(1_000).optional(),
  }),
  z.strictObject({ type: z.literal("tap-end") }),
]);
type TapMessage = Extract<z.infer<typeof messageSchema>, { type: "tap" }>;

export interface LiveSessionOptions {
  readonly client: WebSocket;
  readonly address: string;
  readonly sight: MeshSight;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly maxBufferedBytes: number;
  readonly pingMs: number;
  /** As of now: a login ends, and roles change. Throws for who tries sessions. */
  visitor(): Visitor;
  refused(reason: RefusalReason): void;
  audit(what: string, filter: object): void;
  /** Called once. */
  ended(): void;
}

/** One open page: reports, and one tap at a time. */
export class LiveSession {
  readonly address: string;
  readonly #options: LiveSessionOptions;
  #endTap: () => void = () => undefined;
  #cancelPing: () => void = () => undefined;
  #isAlive = true;
  #isOver = false;
  #windowBeganMs = Number.NEGATIVE_INFINITY;
  #messages = 0;

  constructor(options: LiveSessionOptions) {
    this.#options = options;
    this.address = options.address;
    const { client } = options;
    client.on("pong", () => {
      this.#isAlive = true;
    });
    // Garbled frames and messages that are too long: `ws` says why and closes.
    client.on("error", () => client.terminate());
    client.on("close", () => this.#over());
    this.#ping();
  }

  /** A round of reports: skipped while the last one is still on its way. */
  look(report: string): void {
    if (!this.#mayGoOn()) return;
    if (this.#options.client.bufferedAmount === 0) this.send(report);
  }

  /** Sends, or drops a page that does not read. */
  send(text: string): void {
    const { client, maxBufferedBytes, refused } = this.#options;
    if (client.readyState !== client.OPEN) return;
    if (client.bufferedAmount > maxBufferedBytes) {
      refused("slow reader");
      client.terminate();
      return;
    }
    client.send(text);
  }

  fail(message: string): void {
    this.send(JSON.stringify({ type: "error", message }));
  }

  end(code: number, reason: string): void {
    this.#endTap();
    this.#options.client.close(code, reason);
  }

  /** A message of the page. */
  take(data: RawData, isBinary: boolean): void {
    if (!this.#isPaced() || !this.#mayGoOn()) return;
    const message = isBinary ? "text is expected" : read(String(data));
    if (typeof message === "string") {
      this.fail(message);
      return;
    }
    this.#endTap();
    this.#endTap = () => undefined;
    if (message.type === "tap") this.#tap(message);
  }

  #tap({ filter, hosts }: TapMessage): void {
    const { sight, visitor, refused, audit } = this.#options;
    if (!visitor().mayTap) {
      refused("role");
      this.fail("live requests show traffic of others: this needs the role editor, or tap: true");
      return;
    }
    audit("tap", filter);
    let isOver = false;
    const onItem = (item: TapItem) => {
      if (!isOver) this.send(JSON.stringify({ type: "tap", item }));
    };
    const onEnd = (reason: string | null) => {
      if (isOver) return;
      isOver = true;
      this.send(JSON.stringify({ type: "tap-end", reason }));
    };
    try {
      const end = sight.tap(filter, TAP, hosts ?? null, onItem, onEnd);
      this.#endTap = () => {
        isOver = true;
        end();
      };
    } catch (error) {
      this.fail(error instanceof RegistryError ? error.message : "the tap could not be begun");
    }
  }

  /** Has the login not ended? An open page counts as a use of it. */
  #mayGoOn(): boolean {
    if (this.#isOver) return false;
    let role: Visitor["role"] = null;
    try {
      ({ role } = this.#options.visitor());
    } catch {
      // Of an address that tries sessions: the page is over like the others.
    }
    if (role !== null) return true;
    this.end(1008, "the login has ended");
    return false;
  }

  #isPaced(): boolean {
    const now = this.#options.clock.now();
    if (now >= this.#windowBeganMs + WINDOW_MS) {
      this.#windowBeganMs = now;
      this.#messages = 0;
    }
    if (++this.#messages <= MAX_MESSAGES) return true;
    this.#options.refused("too many messages");
    this.end(1008, "too many messages");
    return false;
  }

  #ping(): void {
    const { client, timers, pingMs } = this.#options;
    this.#cancelPing = timers.after(pingMs, () => {
      if (!this.#isAlive) {
        client.terminate();
        return;
      }
      this.#isAlive = false;
      if (this.#mayGoOn()) client.ping();
      this.#ping();
    });
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelPing();
    this.#endTap();
    this.#options.ended();
  }
}

/** The message, or what is wrong with it. */
function read(text: string): z.infer<typeof messageSchema> | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "the message is no JSON";
  }
  const hostile = hostilePart(value);
  if (hostile !== null) return `${hostile.path}: ${hostile.reason}`;
  const parsed = messageSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { path, reason } = issuesOf(parsed.error)[0] ?? { path: "", reason: "refused" };
  return path === "" ? reason : `${path}: ${reason}`;
}
