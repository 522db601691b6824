import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import {
  type CertificateRequest,
  type IssuedCertificate,
  type IssuedCertificates,
  RegistryRefusal,
} from "../../daemon/identity/identity-client.ts";
import { readSigningRequest } from "../../src/identity/signing-request.ts";
import {
  type Authority,
  createAuthority,
  generateKeys,
  issueLeaf,
  privateKeyPem,
} from "../../src/identity/x509.ts";

const HOUR_MS = 3_600_000;
const TRUST_DOMAIN = "cluster.local";
const REGISTRY_ID = `spiffe://${TRUST_DOMAIN}/ns/hostmesh-system/sa/registry`;

/** The part of a registry that hands out identities, without its rules: for tests of those who ask. */
export class IdentityRegistry {
  readonly trustDomain = TRUST_DOMAIN;
  lifetimeMs = 24 * HOUR_MS;
  /** SPIFFE IDs that are refused, with the reason. */
  readonly refused = new Map<string, string>();
  /** What every call ends with. */
  failure: Error | null = null;
  /** What was asked for in each call for certificates. */
  readonly batches: string[][] = [];
  /** In place of the identity that was asked for. */
  mistake: string | null = null;
  enrolments = 0;
  renewals = 0;
  anchors: string[];
  #authority: Authority;
  readonly #wall: () => number;

  constructor(wall: () => number = Date.now) {
    this.#wall = wall;
    this.#authority = this.newAuthority();
    this.anchors = [this.#authority.certificate];
  }

  get issuer(): string {
    return hashOf(this.#authority.certificate);
  }

  get token(): string {
    return `hm1.id.secret.${this.issuer}`;
  }

  newAuthority(): Authority {
    const now = this.#wall();
    const [notBefore, notAfter] = [new Date(now - HOUR_MS), new Date(now + 90_000 * HOUR_MS)];
    return createAuthority({ commonName: "test root", notBefore, notAfter });
  }

  /** Signs with another root from now on; the old one stays trusted. */
  rotate(): void {
    this.#authority = this.newAuthority();
    this.anchors = [...this.anchors, this.#authority.certificate];
  }

  trust() {
    return { trustDomain: this.trustDomain, anchors: this.anchors, issuer: this.issuer };
  }

  sign(csr: string, lifetimeMs = this.lifetimeMs): string {
    const { identity, publicKey } = readSigningRequest(csr);
    return this.leaf(this.mistake ?? identity, publicKey, lifetimeMs);
  }

  leaf(
    identity: string,
    publicKey = generateKeys().publicKey,
    lifetimeMs = this.lifetimeMs,
  ): string {
    const now = this.#wall();
    const [notBefore, notAfter] = [new Date(now - 60_000), new Date(now + lifetimeMs)];
    return issueLeaf(this.#authority, {
      publicKey,
      names: { uris: [identity] },
      notBefore,
      notAfter,
    });
  }

  /** Certificate and key of some identity, PEM. */
  credential(identity: string): { chain: string; privateKey: string } {
    const keys = generateKeys();
    const chain = this.leaf(identity, keys.publicKey);
    return { chain, privateKey: privateKeyPem(keys.privateKey) };
  }

  enrol = async (token: { text: string }, _: unknown, { csr }: { csr: string }) => {
    this.enrolments++;
    if (this.failure !== null) throw this.failure;
    if (token.text !== this.token) throw new RegistryRefusal("the join token is not valid");
    return this.#issue(csr);
  };

  renewHost = async (csr: string): Promise<IssuedCertificate> => {
    this.renewals++;
    if (this.failure !== null) throw this.failure;
    return this.#issue(csr);
  };

  certificates = async (requests: readonly CertificateRequest[]): Promise<IssuedCertificates> => {
    this.batches.push(requests.map(({ identity }) => identity));
    if (this.failure !== null) throw this.failure;
    const certificates = requests.map(({ identity, csr }) => {
      const error = this.refused.get(identity);
      return error === undefined ? { identity, chain: this.sign(csr) } : { identity, error };
    });
    return { certificates, ...this.trust() };
  };

  #issue(csr: string): IssuedCertificate {
    return { chain: this.sign(csr), ...this.trust() };
  }
}

export interface ServedRegistry {
  readonly url: string;
  /** Calls in order: path, SPIFFE ID of the caller ("": anonymous), body. */
  readonly calls: { path: string; caller: string; body: Record<string, never> }[];
  /** Answers in place of the real ones. */
  answer: ((path: string) => { status: number; body: string } | null) | null;
  close(): Promise<void>;
}

/** The same behind TLS, as a registry serves it. `identity`: whom its certificate names. */
export async function serveIdentities(
  registry: IdentityRegistry,
  identity = REGISTRY_ID,
): Promise<ServedRegistry> {
  const { chain: cert, privateKey: key } = registry.credential(identity);
  const calls: ServedRegistry["calls"] = [];
  const options = { cert, key, minVersion: "TLSv1.3", requestCert: true } as const;
  const server = createServer({ ...options, ca: registry.anchors, rejectUnauthorized: false });
  const served: ServedRegistry = {
    url: "",
    calls,
    answer: null,
    async close() {
      server.close();
      server.closeAllConnections();
      if (server.listening) await once(server, "close");
    },
  };
  server.on("request", async (request, response) => {
    const peer = (request.socket as TLSSocket).getPeerX509Certificate();
    const isTrusted = (request.socket as TLSSocket).authorized;
    const caller = isTrusted ? (peer?.subjectAltName ?? "").replace("URI:", "") : "";
    const path = request.url ?? "";
    const text = (await request.toArray()).join("");
    const body = text === "" ? {} : JSON.parse(text);
    calls.push({ path, caller, body });
    const given = served.answer?.(path) ?? null;
    const { status, body: answer } = given ?? (await respond(registry, path, caller, body));
    response.statusCode = status;
    response.end(answer);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return Object.assign(served, {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
  });
}

async function respond(
  registry: IdentityRegistry,
  path: string,
  caller: string,
  body: { token: string; csr: string; requests: CertificateRequest[] },
): Promise<{ status: number; body: string }> {
  const json = (value: object) => ({ status: 200, body: JSON.stringify(value) });
  try {
    if (path === "/v1/identity/trust") return json(registry.trust());
    if (path === "/v1/identity/enroll") {
      return json(await registry.enrol({ text: body.token }, null, body));
    }
    if (caller === "") return { status: 403, body: '{"error":"hosts only"}' };
    if (path === "/v1/identity/host") return json(await registry.renewHost(body.csr));
    return json(await registry.certificates(body.requests));
  } catch (error) {
    const status = error instanceof RegistryRefusal ? 403 : 500;
    return { status, body: JSON.stringify({ error: String(error) }) };
  }
}

function hashOf(certificate: string): string {
  return new X509Certificate(certificate).fingerprint256.replaceAll(":", "").toLowerCase();
}
