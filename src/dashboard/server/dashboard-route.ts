import type { IncomingMessage } from "node:http";
import type { Role, Visitor } from "./visitor.ts";

/** A request as the routes of the dashboard see it. */
export interface DashboardRequest {
  /** Parts of the path that the pattern names, decoded. */
  readonly params: Readonly<Record<string, string>>;
  /** The JSON body; throws 400 where it is none. */
  json(): unknown;
  readonly visitor: Visitor;
  /** Where it comes from. */
  readonly address: string;
  readonly message: IncomingMessage;
}

export interface DashboardReply {
  readonly status?: number;
  readonly body?: unknown;
  /** In place of a body: a list that is made while it is sent, as the only field of an object. */
  readonly list?: { readonly name: string; readonly items: Iterable<unknown> };
  /** A `Set-Cookie`. */
  readonly cookie?: string;
}

export interface DashboardRoute {
  readonly method: "GET" | "PUT" | "POST";
  /** Segments: literal, or `:name` for one. */
  readonly pattern: string;
  /** Who may call it; null: also who has not logged in. */
  readonly needs: Role | null;
  /** Largest body that is read; absent: none is. */
  readonly bodyBytes?: number;
  handle(request: DashboardRequest): DashboardReply | Promise<DashboardReply>;
}
