import * as z from "zod";
import { hostField } from "../fields.ts";
import type { IdentityParts } from "../identity/open-identity.ts";
import { ROTATION_STEPS } from "../identity/rotation.ts";
import { parseInput } from "../parse-input.ts";
import { RegistryError } from "../registry-error.ts";
import type { RegistryRequest, Route } from "../route.ts";

const ENROL_BYTES = 65_536;
/** `MAX_REQUESTS` signing requests at their longest. */
const BATCH_BYTES = 4_194_304;
const MAX_REQUESTS = 500;
const MAX_TTL_MS = 30 * 86_400_000;
const MIN_TTL_MS = 1_000;
export const DEFAULT_TOKEN_TTL_MS = 3_600_000;

const csr = z.string().max(4_096);
const enrolBody = z.union([
  z.strictObject({ token: z.string().max(512), host: hostField, csr }),
  z.strictObject({ serviceAccountToken: z.string().max(16_384), host: hostField, csr }),
]);
const hostBody = z.strictObject({ csr });
const certificatesBody = z.strictObject({
  requests: z.array(z.strictObject({ identity: z.string().max(2_048), csr })).max(MAX_REQUESTS),
});
const tokenBody = z.strictObject({
  host: hostField.nullable().default(null),
  ttlMs: z.number().int().min(MIN_TTL_MS).max(MAX_TTL_MS).default(DEFAULT_TOKEN_TTL_MS),
});
const rotationBody = z.strictObject({
  step: z.enum(ROTATION_STEPS),
  force: z.boolean().default(false),
});

/** `/v1/identity`: certificates, join tokens, and the authority's rotation. */
export function identityRoutes(identity: IdentityParts): Route[] {
  return [...daemonRoutes(identity), ...operatorRoutes(identity)];
}

function daemonRoutes({ service }: IdentityParts): Route[] {
  return [
    {
      method: "GET",
      pattern: "/v1/identity/trust",
      allow: ["host", "anonymous"],
      handle: () => ({ body: service.trust() }),
    },
    {
      method: "POST",
      pattern: "/v1/identity/enroll",
      bodyBytes: ENROL_BYTES,
      allow: ["host", "anonymous"],
      async handle(request) {
        const { host, csr: pem, ...proof } = parseInput(enrolBody, request.json());
        return { body: await service.enrol(proof, host, pem, request.address) };
      },
    },
    {
      method: "POST",
      pattern: "/v1/identity/host",
      bodyBytes: ENROL_BYTES,
      allow: ["host"],
      async handle(request) {
        const { csr: pem } = parseInput(hostBody, request.json());
        return { body: await service.renewHost(hostOfCaller(request), pem) };
      },
    },
    {
      method: "POST",
      pattern: "/v1/identity/certificates",
      bodyBytes: BATCH_BYTES,
      allow: ["host"],
      async handle(request) {
        const { requests } = parseInput(certificatesBody, request.json());
        return { body: await service.certify(hostOfCaller(request), requests) };
      },
    },
  ];
}

function operatorRoutes({ tokens, authority, rotation, issuance }: IdentityParts): Route[] {
  return [
    {
      method: "POST",
      pattern: "/v1/identity/tokens",
      bodyBytes: ENROL_BYTES,
      async handle(request) {
        const { host, ttlMs } = parseInput(tokenBody, request.hasBody ? request.json() : {});
        return {
          body: { token: await tokens.create(host, ttlMs, authority.ownSigner().anchorId) },
        };
      },
    },
    {
      method: "POST",
      pattern: "/v1/identity/rotation",
      bodyBytes: ENROL_BYTES,
      async handle(request) {
        const { step, force } = parseInput(rotationBody, request.json());
        return { body: { ...(await rotation.step(step, force)), ...rotation.state() } };
      },
    },
    {
      method: "GET",
      pattern: "/v1/identity/authorities",
      handle: () => ({ body: rotation.state() }),
    },
    {
      method: "GET",
      pattern: "/v1/identity/issued",
      handle({ query }) {
        const wanted = query.get("identity");
        const live = issuance.live();
        // The certificates themselves are for who asks for one identity: all of them are long.
        if (wanted === null) return { items: live.map(({ certificate: _, ...facts }) => facts) };
        return { items: live.filter(({ identity }) => identity === wanted) };
      },
    },
  ];
}

/** An operator has no host: its name would be whatever it says. */
function hostOfCaller({ caller }: RegistryRequest): string {
  if (caller.role === "host") return caller.host;
  throw new RegistryError(403, "certificates are for hosts, which show theirs on the TLS port");
}
