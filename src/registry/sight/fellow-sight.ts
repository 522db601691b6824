import { Agent, type Dispatcher, request } from "undici";
import * as z from "zod";
import { hostReportSchema } from "../../sight/host-report-schema.ts";
import { type AnyQuestion, MAX_ANSWER_BYTES } from "../../sight/question.ts";
import type { TapItem } from "../../sight/tap-event.ts";
import { tapItemsSchema } from "../../sight/tap-schema.ts";
import type { ReplicaNotice } from "../identity/replica-board.ts";
import type { Log } from "../log.ts";
import { RegistryError } from "../registry-error.ts";
import { type RegistryTls, registryTlsOptions } from "../registry-tls.ts";
import { readNdjson } from "./ndjson.ts";
import type { HostSight, SightSource, TapQuestion } from "./sight-source.ts";

/** More than its daemons have. */
const REPORT_MS = 4_000;
const CONNECT_MS = 2_000;
/** What the way there and back may add to a daemon's own time. */
const WAY_MS = 2_000;
const MAX_EVENT_BYTES = 1_048_576;

const sightSchema: z.ZodType<HostSight> = z.object({
  ...{ host: z.string(), zone: z.string(), version: z.string() },
  state: z.enum(["reporting", "silent", "old"]),
  revision: z.number().nullable(),
  refusal: z.object({ revision: z.number(), reason: z.string() }).nullable(),
  report: hostReportSchema.nullable(),
});

export interface FellowsOptions {
  /** What the other registries say that share this one's authority. */
  others(): readonly ReplicaNotice[];
  /** How this registry proves itself to them; null: not yet. */
  tls(): RegistryTls | null;
  readonly log: Log;
}

/** The registries of the same mesh, each of which some of the daemons watch. */
export class Fellows {
  readonly #options: FellowsOptions;
  readonly #byUrl = new Map<string, FellowSight>();
  #agent: { readonly agent: Agent; readonly proof: string } | null = null;

  constructor(options: FellowsOptions) {
    this.#options = options;
  }

  /** Those that can be asked at this moment. */
  sources(): readonly SightSource[] {
    const notices = new Map(
      this.#options.others().flatMap((notice) => (notice.url ? [[notice.url, notice]] : [])),
    );
    for (const url of this.#byUrl.keys()) if (!notices.has(url)) this.#byUrl.delete(url);
    return [...notices].map(([url, notice]) => {
      const known = this.#byUrl.get(url) ?? this.#newFellow(url);
      known.notice = notice;
      return known;
    });
  }

  async close(): Promise<void> {
    await this.#agent?.agent.destroy();
  }

  #newFellow(url: string): FellowSight {
    const fellow = new FellowSight(url, () => this.#dispatcher(), this.#options.log);
    this.#byUrl.set(url, fellow);
    return fellow;
  }

  /** Another one whenever this registry proves itself by another certificate, or trusts others. */
  #dispatcher(): Agent {
    const tls = this.#options.tls();
    if (tls === null) throw new RegistryError(503, "this registry has no certificate yet");
    const proof = [tls.credential?.chain, ...tls.anchors].join("");
    if (this.#agent?.proof === proof) return this.#agent.agent;
    // Calls that are under way end on their own connections.
    void this.#agent?.agent.close();
    const agent = new Agent({
      connect: { ...registryTlsOptions(tls), timeout: CONNECT_MS },
      maxResponseSize: -1,
    });
    this.#agent = { agent, proof };
    return agent;
  }
}

/** The daemons that watch another registry, which asks them for us. */
class FellowSight implements SightSource {
  readonly #base: string;
  readonly #dispatcher: () => Dispatcher;
  readonly #log: Log;
  notice: ReplicaNotice | null = null;
  /** Hosts that it named in its last answer. */
  #named: readonly string[] = [];
  /** It is said once, not with each report. */
  #isFailing = false;

  constructor(url: string, dispatcher: () => Dispatcher, log: Log) {
    this.#base = `${url}/v1/mesh/sight/local`;
    this.#dispatcher = dispatcher;
    this.#log = log;
  }

  /** A notice is some seconds old, and an answer may be older still. */
  hosts(): Iterable<string> {
    return new Set([...this.#connected(), ...this.#named]);
  }

  async reports(): Promise<readonly HostSight[]> {
    try {
      const sights: HostSight[] = [];
      const signal = AbortSignal.timeout(REPORT_MS);
      for await (const line of this.#lines("GET", "/reports", undefined, signal)) {
        sights.push(sightSchema.parse(line));
      }
      this.#named = sights.map(({ host }) => host);
      this.#isFailing = false;
      return sights;
    } catch (error) {
      const facts = { url: this.#base, error };
      if (!this.#isFailing) this.#log.warn("another registry tells nothing of its daemons", facts);
      this.#isFailing = true;
      const silent = { zone: "", version: "", revision: null, refusal: null, report: null };
      return this.#connected().map((host) => ({ host, state: "silent", ...silent }));
    }
  }

  async ask(host: string, question: AnyQuestion, patienceMs: number): Promise<unknown> {
    const body = { host, question, patienceMs };
    const signal = AbortSignal.timeout(patienceMs + WAY_MS);
    for await (const line of this.#lines("POST", "/ask", body, signal)) return line;
    throw new RegistryError(502, "another registry gave no answer");
  }

  tap(
    hosts: readonly string[],
    { filter, limits }: TapQuestion,
    onItem: (item: TapItem) => void,
    onEnd: (reason: string | null) => void,
  ): () => void {
    const gone = new AbortController();
    this.#tap({ hosts, filter, limits }, gone.signal, onItem).then(
      (reason) => gone.signal.aborted || onEnd(reason),
      (error: unknown) => {
        if (gone.signal.aborted) return;
        this.#log.info("a tap has lost another registry", { url: this.#base, error });
        onEnd(error instanceof RegistryError ? error.message : "another registry is gone");
      },
    );
    return () => gone.abort();
  }

  async #tap(
    body: object,
    signal: AbortSignal,
    onItem: (item: TapItem) => void,
  ): Promise<string | null> {
    for await (const line of this.#lines("POST", "/tap", body, signal)) {
      const last = lastLine.safeParse(line);
      if (last.success) return last.data.error;
      for (const item of tapItemsSchema.parse([line])) if (!signal.aborted) onItem(item);
    }
    return null;
  }

  #connected(): string[] {
    const hosts = Object.entries(this.notice?.hosts ?? {});
    return hosts.filter(([, { connected }]) => connected).map(([host]) => host);
  }

  /** Throws its refusal as a `RegistryError`; 503 where it cannot be reached. */
  async *#lines(
    method: "GET" | "POST",
    path: string,
    body: object | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<unknown> {
    const isTap = path === "/tap";
    const answer = await request(`${this.#base}${path}`, {
      ...{ method, signal, dispatcher: this.#dispatcher(), bodyTimeout: 0 },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }).catch((cause: unknown) => {
      throw new RegistryError(503, "another registry cannot be reached", undefined, cause);
    });
    const { statusCode: status } = answer;
    const lines = readNdjson(answer.body, isTap ? MAX_EVENT_BYTES : MAX_ANSWER_BYTES);
    if (status < 300) {
      yield* lines;
      return;
    }
    const { value } = await lines.next();
    const refusal = lastLine.safeParse(value);
    throw new RegistryError(status, refusal.data?.error ?? "another registry refuses");
  }
}

/** The end of a tap that ends otherwise than agreed, and every refusal. */
const lastLine = z.object({ error: z.string() });
