import { RegistryError } from "../registry-error.ts";
import type { FailureLimit } from "./failure-limit.ts";
import type { JoinTokens, TokenRefusal } from "./join-tokens.ts";
import type { TokenReviewRule } from "./token-review.ts";

/** What a host shows once. */
export type EnrolProof = { readonly token: string } | { readonly serviceAccountToken: string };

/** What is wrong with the token of a host, and what to do about it. */
function reasonFor(refusal: TokenRefusal, host: string): string {
  const another = `make one with: hostmesh identity token --host ${host}`;
  switch (refusal) {
    case "malformed":
      return `this is no join token; ${another}`;
    case "unknown":
      return `the join token is not known: it is another registry's, or was void before it was used; ${another}`;
    case "expired":
      return `the join token has expired; ${another}`;
    case "replayed":
      return `the join token was used already, and it counts once; ${another}`;
    case "other_host":
      return `the join token is for another host than ${host}: set \`host\` to the name it was made for, or ${another}`;
  }
}

/** Judges proofs that a host is what it says it is. */
export class Enrolment {
  readonly #tokens: JoinTokens;
  readonly #rule: TokenReviewRule | null;
  readonly #limit: FailureLimit;

  constructor(tokens: JoinTokens, rule: TokenReviewRule | null, limit: FailureLimit) {
    this.#tokens = tokens;
    this.#rule = rule;
    this.#limit = limit;
  }

  /** Throws 429 for an address that has failed too often. */
  slowDown(address: string): void {
    const waitMs = this.#limit.waitMs(address);
    if (waitMs === 0) return;
    const seconds = Math.ceil(waitMs / 1_000);
    throw new RegistryError(429, `too many refused proofs; try again in ${seconds} s`, "limited");
  }

  failed(address: string, status: number): void {
    // Who is told to wait does not wait longer for asking.
    if (status !== 429) this.#limit.count(address);
  }

  /**
   * Resolves where the host may enrol; a one-time token is used up then. Rejects with 403 for a proof that is not
   * taken, 501 where nobody judges service-account tokens, 503 where the judge cannot be reached.
   */
  async check(proof: EnrolProof, host: string): Promise<void> {
    if ("serviceAccountToken" in proof) {
      await this.#review(proof.serviceAccountToken, host);
      return;
    }
    const refusal = await this.#tokens.redeem(proof.token, host);
    if (refusal !== null)
      throw new RegistryError(403, reasonFor(refusal, host), `token_${refusal}`);
  }

  async #review(token: string, host: string): Promise<void> {
    if (this.#rule === null) {
      const reason = "service-account tokens are not accepted: no TokenReview is configured";
      throw new RegistryError(501, reason);
    }
    const { reviewer, audience, namespace, serviceAccount } = this.#rule;
    const refuse = (reason: string, path: string) => {
      throw new RegistryError(403, `the service-account token is refused: ${reason}`, path);
    };
    const found = await reviewer.review(token, audience).catch((cause: unknown) => {
      const reason = "the service-account token could not be reviewed";
      throw new RegistryError(503, reason, undefined, cause);
    });
    if ("refusal" in found) return refuse(found.refusal, "review_refused");
    if (found.namespace !== namespace || found.serviceAccount !== serviceAccount) {
      const wanted = `${namespace}/${serviceAccount}`;
      return refuse(`it is not of ${wanted}`, "review_other_account");
    }
    if (found.node !== host) return refuse(`it is of node ${found.node}`, "review_other_host");
  }
}
