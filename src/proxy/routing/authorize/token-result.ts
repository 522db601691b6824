import type { RequestHead } from "../../../http/message.ts";
import type { TokenClaims } from "./request.ts";

/** A place that a token was taken from. Header names are lower-case. */
export interface TokenPlace {
  readonly kind: "header" | "param" | "cookie";
  readonly name: string;
}

export type TokenResult =
  | {
      readonly ok: true;
      readonly claims: TokenClaims;
      /** `issuer/subject`; `""` where the token lacks one of them. */
      readonly requestPrincipal: string;
      /** What the application must not get: all fields, parameters or cookies of that name go. */
      readonly strip: readonly TokenPlace[];
      /** Field lines with their CRLF that the application gets besides. */
      readonly add: readonly string[];
    }
  | { readonly ok: false; readonly reason: string };

/** Checks the tokens that requests to a workload carry. */
export interface TokenChecker {
  /**
   * Lower-case names of the headers that tell the application what was in a token. They are taken out of every
   * request, with or without a token, before those of `add` go in: nobody else may say such things.
   */
  readonly guardedHeaders: readonly string[];
  /** Null: there is no token; a promise, which never rejects: a signature must be verified first. */
  check(head: RequestHead): TokenResult | null | Promise<TokenResult>;
}
