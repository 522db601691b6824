import * as z from "zod";

/** `authentication.k8s.io/v1` TokenReview, as far as it is read. */
const schema = z.object({
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
const EXTRA = "authentication.kubernetes.io/";
const ACCOUNT = /^system:serviceaccount:([^:]+):([^:]+)$/;
const REASON_LENGTH = 300;

/** What an API server says of a service-account token. */
export interface AnsweredReview {
  readonly namespace: string;
  readonly serviceAccount: string;
  /** The node that it is bound to; null: it does not say (Kubernetes before 1.30), or says several. */
  readonly node: string | null;
  /** The pod that it is bound to. */
  readonly pod: { readonly name: string; readonly uid: string } | null;
}

/** The path to post a TokenReview to. */
export const TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews";

export function tokenReviewOf(token: string, audience: string) {
  return {
    ...{ apiVersion: "authentication.k8s.io/v1", kind: "TokenReview" },
    spec: { token, audiences: [audience] },
  };
}

/** Throws where the answer is none. */
export function readTokenReview(
  answer: unknown,
  audience: string,
): AnsweredReview | { readonly refusal: string } {
  const { status } = schema.parse(answer);
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
  const only = (name: string) => {
    const [value, ...more] = extra[`${EXTRA}${name}`] ?? [];
    return value === undefined || more.length > 0 ? null : value;
  };
  const [name, uid] = [only("pod-name"), only("pod-uid")];
  const pod = name === null || uid === null ? null : { name, uid };
  return { namespace, serviceAccount, node: only("node-name"), pod };
}
