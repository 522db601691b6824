import * as z from "zod";
import type { ReviewedToken, TokenReview } from "../../registry/identity/token-review.ts";
import {
  type AnsweredReview,
  readTokenReview,
  TOKEN_REVIEWS,
  tokenReviewOf,
} from "../../registry/identity/token-review-answer.ts";
import { findObject } from "../api/find-object.ts";
import type { KubeApi } from "../api/kube-api.ts";
import { type ApiResource, pathOf } from "../api/objects.ts";

const PODS: ApiResource = {
  ...{ group: "", version: "v1", kind: "Pod", plural: "pods", namespaced: true },
};
/** The daemon waits for the answer, and gives up after 10 s. */
export const CALL_MS = 4_000;
const ENDED = new Set(["Succeeded", "Failed"]);

const podSchema = z.object({
  metadata: z.object({ uid: z.string() }),
  spec: z.object({
    nodeName: z.string().default(""),
    serviceAccountName: z.string().default("default"),
  }),
  status: z.object({ phase: z.string().default("") }).prefault({}),
});

/**
 * Judges projected service-account tokens by the cluster's API server: they count while the very pod that they were made
 * for is there, and prove the node that the API server has placed it on.
 */
export class ClusterTokenReview implements TokenReview {
  readonly #api: Pick<KubeApi, "request">;

  constructor(api: Pick<KubeApi, "request">) {
    this.#api = api;
  }

  async review(token: string, audience: string): Promise<ReviewedToken | { refusal: string }> {
    const { body } = await this.#api.request({
      ...{ method: "POST", path: TOKEN_REVIEWS, timeoutMs: CALL_MS },
      body: tokenReviewOf(token, audience),
    });
    const found = readTokenReview(body, audience);
    return "refusal" in found ? found : this.#placeOf(found);
  }

  /** A token outlives its pod for a moment, and before Kubernetes 1.30 it does not name the node: the pod tells. */
  async #placeOf(review: AnsweredReview): Promise<ReviewedToken | { refusal: string }> {
    const { namespace, serviceAccount, pod, node } = review;
    if (pod === null) return { refusal: "it is bound to no pod" };
    const found = await this.#find(namespace, pod.name);
    if (found === null || found.metadata.uid !== pod.uid) return { refusal: "its pod is gone" };
    if (ENDED.has(found.status.phase)) return { refusal: "its pod has ended" };
    const { nodeName, serviceAccountName } = found.spec;
    if (serviceAccountName !== serviceAccount) return { refusal: "its pod has another account" };
    if (nodeName === "") return { refusal: "its pod is on no node yet" };
    if (node !== null && node !== nodeName) {
      return { refusal: `it is bound to node ${node}, and its pod is on ${nodeName}` };
    }
    return { namespace, serviceAccount, node: nodeName };
  }

  async #find(namespace: string, name: string) {
    const path = pathOf(PODS, namespace, name);
    const found = await findObject(this.#api, { path, timeoutMs: CALL_MS });
    return found === undefined ? null : podSchema.parse(found);
  }
}
