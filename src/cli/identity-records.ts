import * as z from "zod";

/** Answers of the registry's `/v1/identity`. */

export const issuedList = z.array(
  z.object({
    identity: z.string(),
    host: z.string(),
    serial: z.string(),
    notBeforeMs: z.number(),
    notAfterMs: z.number(),
    issuer: z.string(),
    /** PEM; only where one identity was asked for. */
    certificate: z.string().optional(),
  }),
);

export const trustBundle = z.object({
  trustDomain: z.string(),
  anchors: z.array(z.string()),
  issuer: z.string(),
});

export const createdToken = z.object({ token: z.string() });

const authority = z.object({ id: z.string(), anchorId: z.string(), notAfterMs: z.number() });

export const rotationState = z.object({
  phase: z.enum(["steady", "begun", "issuing"]),
  trustDomain: z.string(),
  current: authority,
  next: authority.nullable(),
  awaitedHosts: z.array(
    z.object({ host: z.string(), revision: z.number().nullable(), connected: z.boolean() }),
  ),
  awaitedHostsTotal: z.number(),
  oldCertificates: z.array(z.object({ identity: z.string(), host: z.string() })),
  oldCertificatesTotal: z.number(),
  /** Registries of the same authority that have not taken its newest state; older ones do not say. */
  registriesBehind: z.number().default(0),
  /** What is left until the newest change has reached every worker of its host. */
  settleMs: z.number(),
  /** Of the answer to a step: join tokens that named the old root. */
  voidedTokens: z.number().optional(),
});
export type RotationState = z.infer<typeof rotationState>;
