import { readFile } from "node:fs/promises";
import * as z from "zod";
import type { ReviewedToken, TokenReview } from "./token-review.ts";

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

/** `authentication.k8s.io/v1` TokenReview, as far as it is read. */
const answerSchema = z.object({
  status: z.object({
    authenticated: z.boolean().default(false),
    audiences: z.array(z.string()).default([]),
    error: z.string().default(""),
    user: z
      .object({
        username: z.string().default(""),
        extra: z.record(z.string(), z.array(z.string())).default({}),
      })
      .prefault({}),
  }),
});
const NODE_NAME = "authentication.kubernetes.io/node-name";
const ACCOUNT = /^system:serviceaccount:([^:]+):([^:]+)$/;
const MAX_ANSWER_BYTES = 1_048_576;
const REASON_LENGTH = 300;

/** Asks the Kubernetes API server whom a projected service-account token belongs to. */
export class KubernetesTokenReview implements TokenReview {
  readonly #options: KubernetesTokenReviewOptions;

  constructor(options: KubernetesTokenReviewOptions) {
    this.#options = options;
  }

  async review(token: string, audience: string): Promise<ReviewedToken | { refusal: string }> {
    const { status } = answerSchema.parse(await this.#ask(token, audience));
    if (!status.authenticated) {
      return { refusal: status.error.slice(0, REASON_LENGTH) || "it is not authenticated" };
    }
    // A server that knows nothing of audiences leaves them out, and would take any token.
    if (!status.audiences.includes(audience)) return { refusal: `it is not for ${audience}` };
    const { username, extra } = status.user;
    const [, namespace, serviceAccount] = ACCOUNT.exec(username) ?? [];
    if (namespace === undefined || serviceAccount === undefined) {
      return { refusal: "it is no service account's" };
    }
    const [node, ...more] = extra[NODE_NAME] ?? [];
    // Kubernetes from 1.30 on says which node a pod's token was made for.
    if (node === undefined || more.length > 0) return { refusal: "it is bound to no node" };
    return { namespace, serviceAccount, node };
  }

  async #ask(token: string, audience: string): Promise<unknown> {
    const { apiUrl, caFile, tokenFile, timeoutMs = 10_000 } = this.#options;
    const [ca, own] = await Promise.all([readFile(caFile, "utf8"), readFile(tokenFile, "utf8")]);
    const { Agent, request } = await import("undici");
    const dispatcher = new Agent({ connect: { ca }, maxResponseSize: MAX_ANSWER_BYTES });
    try {
      const path = "/apis/authentication.k8s.io/v1/tokenreviews";
      const response = await request(new URL(path, apiUrl), {
        ...{ method: "POST", dispatcher, signal: AbortSignal.timeout(timeoutMs) },
        headers: { authorization: `Bearer ${own.trim()}`, "content-type": "application/json" },
        body: JSON.stringify({
          ...{ apiVersion: "authentication.k8s.io/v1", kind: "TokenReview" },
          spec: { token, audiences: [audience] },
        }),
      });
      const text = await response.body.text();
      if (response.statusCode === 201 || response.statusCode === 200) return JSON.parse(text);
      throw new Error(`the API server answered ${response.statusCode} to a TokenReview`);
    } finally {
      await dispatcher.destroy();
    }
  }
}
