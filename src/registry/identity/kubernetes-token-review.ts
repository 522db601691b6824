import { readFile } from "node:fs/promises";
import type { ReviewedToken, TokenReview } from "./token-review.ts";
import { readTokenReview, TOKEN_REVIEWS, tokenReviewOf } from "./token-review-answer.ts";

export interface KubernetesTokenReviewOptions {
  /** As `https://kubernetes.default.svc`. */
  readonly apiUrl: string;
  /** PEM of the API server's authority; files are read anew for each call, as Kubernetes replaces them. */
  readonly caFile: string;
  /** The registry's own token, whose account must have the role `system:auth-delegator`. */
  readonly tokenFile: string;
  /** The whole call. */
  readonly timeoutMs?: number;
}

const MAX_ANSWER_BYTES = 1_048_576;

/** Asks the Kubernetes API server whom a projected service-account token belongs to. */
export class KubernetesTokenReview implements TokenReview {
  readonly #options: KubernetesTokenReviewOptions;

  constructor(options: KubernetesTokenReviewOptions) {
    this.#options = options;
  }

  async review(token: string, audience: string): Promise<ReviewedToken | { refusal: string }> {
    const found = readTokenReview(await this.#ask(token, audience), audience);
    if ("refusal" in found) return found;
    const { namespace, serviceAccount, node } = found;
    // Kubernetes from 1.30 on says which node a pod's token was made for.
    if (node === null) return { refusal: "it is bound to no node" };
    return { namespace, serviceAccount, node };
  }

  async #ask(token: string, audience: string): Promise<unknown> {
    const { apiUrl, caFile, tokenFile, timeoutMs = 10_000 } = this.#options;
    const [ca, own] = await Promise.all([readFile(caFile, "utf8"), readFile(tokenFile, "utf8")]);
    const { Agent, request } = await import("undici");
    const dispatcher = new Agent({ connect: { ca }, maxResponseSize: MAX_ANSWER_BYTES });
    try {
      const response = await request(new URL(TOKEN_REVIEWS, apiUrl), {
        ...{ method: "POST", dispatcher, signal: AbortSignal.timeout(timeoutMs) },
        headers: { authorization: `Bearer ${own.trim()}`, "content-type": "application/json" },
        body: JSON.stringify(tokenReviewOf(token, audience)),
      });
      const text = await response.body.text();
      if (response.statusCode === 201 || response.statusCode === 200) return JSON.parse(text);
      throw new Error(`the API server answered ${response.statusCode} to a TokenReview`);
    } finally {
      await dispatcher.destroy();
    }
  }
}
