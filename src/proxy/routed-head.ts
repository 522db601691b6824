import { MeshError } from "../core/errors.ts";
import { parseRequestHead } from "../http/h1/parser.ts";
import { requestHeadLines } from "../http/h1/serializer.ts";
import type { RequestHead } from "../http/message.ts";
import type { BackendParts } from "./route-parts.ts";
import type { RoutePlan } from "./route-plan.ts";
import { normalizePath, type PathSettings } from "./routing/authorize/path.ts";
import { HeadEdits } from "./routing/transform/head-edits.ts";
import { rewritePath } from "./routing/transform/path-rewrite.ts";
import { requestLine } from "./routing/transform/request-line.ts";

/** What a connection's heads are parsed and normalised by. */
export interface HeadSettings {
  readonly limits: { readonly headBytes: number; readonly headerCount: number };
  readonly mesh: PathSettings;
}

/**
 * The heads of one connection's requests as their rules change them: what goes on from here is the changed one, so that
 * the policies of the called workload see what its application will see.
 */
export class RoutedHeads {
  readonly #settings: HeadSettings;
  /** The last one, for a client that sends the same again. */
  #from: RequestHead | null = null;
  #backend: BackendParts | null = null;
  #made: RequestHead | null = null;

  constructor(settings: HeadSettings) {
    this.#settings = settings;
  }

  /** The client's head itself where nothing is changed. Throws `BAD_REQUEST` where the change makes it ambiguous. */
  of(head: RequestHead, plan: RoutePlan): RequestHead {
    const { backend, overrides } = plan;
    const rewrite = backend?.rewrite ?? null;
    const edits = backend?.requestEdits ?? null;
    if (rewrite === null && edits === null && overrides === null) return head;
    const isKnown = head.repeats && head === this.#from && backend === this.#backend;
    if (isKnown && this.#made !== null) {
      this.#made.repeats = true;
      return this.#made;
    }
    this.#from = head;
    this.#backend = backend;
    this.#made = this.#edited(head, plan);
    return this.#made;
  }

  #edited(head: RequestHead, plan: RoutePlan): RequestHead {
    const { backend, match, overrides } = plan;
    const { mesh: settings, limits } = this.#settings;
    const upgrade = head.upgrade !== "";
    let text = `${requestHeadLines(head, { host: head.host, upgrade })}\r\n`;
    const rewrite = backend?.rewrite ?? null;
    if (rewrite !== null) {
      const { authority } = rewrite;
      const path =
        rewrite.path === undefined ? head.path : rewritePath(head.path, rewrite.path, match);
      // A path that was cut may climb: what is left is brought to its normal form again.
      const normal = normalizePath(path, settings);
      if (normal === null) throw new MeshError("BAD_REQUEST", "the rewritten path is ambiguous");
      text = requestLine(
        text,
        authority === undefined ? { path: normal } : { path: normal, authority },
      );
    }
    if (backend?.requestEdits) text = backend.requestEdits.apply(text);
    if (overrides !== null) text = HeadEdits.of([{ remove: overrides.strip }])?.apply(text) ?? text;
    // Edits may add fields to as many as a client may send.
    const made = parseRequestHead(text, { headerCount: limits.headerCount * 2 });
    return restored(made, head);
  }
}

/** What was not among the client's lines stays as it was, unless an edit says otherwise. */
function restored(made: RequestHead, head: RequestHead): RequestHead {
  made.minor = head.minor;
  made.keepAlive = head.keepAlive;
  made.form = head.form;
  made.scheme = head.scheme;
  made.repeats = head.repeats;
  for (const name of RESTORED) if (made[name] === "") made[name] = head[name];
  return made;
}

/** Fields that are properties of a head, and lines only of what goes out. */
const RESTORED = [
  "requestId",
  "traceparent",
  "tracestate",
  "forwardedFor",
  "forwardedProto",
  "via",
] as const;
