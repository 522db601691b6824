import type { RequestHead } from "../../../http/message.ts";

/** Who calls. */
export interface RouteSource {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** A request as rules see it. */
export interface RouteRequest {
  /** Its path is the normalised one, with query. */
  readonly head: RequestHead;
  /** In lower case, without port. */
  readonly host: string;
  readonly scheme: string;
  /** Of the called service; 0: unknown. */
  readonly port: number;
  readonly source: RouteSource;
}

/** A TCP connection as rules see it. */
export interface RouteConnection {
  /** That was dialled, in canonical form. */
  readonly address: string;
  readonly port: number;
  readonly source: RouteSource;
}
