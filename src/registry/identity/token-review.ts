/** Whom a projected service-account token belongs to. */
export interface ReviewedToken {
  readonly namespace: string;
  readonly serviceAccount: string;
  /** Name of the node that the token is bound to. */
  readonly node: string;
}

/** Judges service-account tokens: on Kubernetes, its TokenReview API. */
export interface TokenReview {
  /** Resolves with the holder, or with the reason of a refusal. Rejects where nobody could be asked. */
  review(token: string, audience: string): Promise<ReviewedToken | { readonly refusal: string }>;
}

/** Which tokens let a daemon enrol its host. */
export interface TokenReviewRule {
  readonly reviewer: TokenReview;
  readonly audience: string;
  /** The service account of the daemons. */
  readonly namespace: string;
  readonly serviceAccount: string;
}
