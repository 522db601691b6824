import type { Agent, Dispatcher } from "undici";
import * as z from "zod";
import { type RegistryTls, registryTlsOptions } from "../../src/registry/registry-tls.ts";
import { sha256OfCertificate } from "./certificate-facts.ts";
import type { JoinToken } from "./join-token.ts";

/** A whole call, the connection included. */
const CALL_MS = 10_000;
/** A batch of certificates with their chains stays far below. */
const ANSWER_BYTES = 8_388_608;
const REASON_LENGTH = 500;

const pem = z.string().min(1).max(65_536);
const trust = z.object({
  trustDomain: z.string().max(255),
  anchors: z.array(pem).min(1).max(64),
  issuer: z.string().max(128),
});
const issued = trust.extend({ chain: pem });
const answers = trust.extend({
  certificates: z.array(
    z.union([
      z.object({ identity: z.string(), chain: pem }),
      z.object({ identity: z.string(), error: z.string() }),
    ]),
  ),
});

/** What the registry answers to a request for one certificate. */
export type IssuedCertificate = z.infer<typeof issued>;
/** What it answers to requests for several: a chain or a reason for each. */
export type IssuedCertificates = z.infer<typeof answers>;

export interface CertificateRequest {
  /** SPIFFE ID. */
  readonly identity: string;
  /** PEM. */
  readonly csr: string;
}

/** The registry has understood and said no: asking again at once is of no use. */
export class RegistryRefusal extends Error {
  override readonly name = "RegistryRefusal";
}

export interface IdentityClientOptions {
  /** HTTPS URLs of registries; another is tried when one does not answer. */
  readonly urls: readonly string[];
  readonly trustDomain: string;
  /** Default 10 s. */
  readonly callMs?: number;
}

/**
 * The daemon's calls to the registry's TLS API for identities. Every connection verifies the registry, but the one that
 * fetches the anchors, whose answer is compared with a hash.
 */
export class IdentityClient {
  readonly #options: IdentityClientOptions;
  /** Counts on when a registry does not answer. */
  #turn = 0;
  #agent: Agent | null = null;
  /** What the agent was made of. */
  #tls: RegistryTls | null = null;

  constructor(options: IdentityClientOptions) {
    this.#options = options;
  }

  /** Takes the host's certificate, for all calls that follow. */
  setTls(tls: RegistryTls): void {
    this.#tls = tls;
    // Calls under way end on their own connections.
    void this.#agent?.close();
    this.#agent = null;
  }

  /**
   * The first certificate of this host. `anchors`: what the registry is known by; empty: by the hash in the token.
   * Rejects with a RegistryRefusal where the token is not accepted.
   */
  async enrol(
    token: JoinToken,
    anchors: readonly string[],
    request: { readonly host: string; readonly csr: string },
  ): Promise<IssuedCertificate> {
    const { trustDomain } = this.#options;
    const known = anchors.length > 0 ? anchors : [await this.#anchorOf(token)];
    const agent = await newAgent(registryTlsOptions({ trustDomain, anchors: known }));
    const proof =
      token.kind === "one-time" ? { token: token.text } : { serviceAccountToken: token.text };
    try {
      return await this.#call("v1/identity/enroll", agent, issued, { ...proof, ...request });
    } finally {
      await agent.destroy();
    }
  }

  /** A new certificate of this host, in the name of the present one. */
  async renewHost(csr: string): Promise<IssuedCertificate> {
    return this.#call("v1/identity/host", await this.#ownAgent(), issued, { csr });
  }

  /** Certificates of workloads of this host. */
  async certificates(requests: readonly CertificateRequest[]): Promise<IssuedCertificates> {
    const agent = await this.#ownAgent();
    return this.#call("v1/identity/certificates", agent, answers, { requests });
  }

  async close(): Promise<void> {
    await this.#agent?.destroy();
    this.#agent = null;
  }

  /** Nobody is trusted here: whoever answers, only the certificate with that hash is taken. */
  async #anchorOf(token: JoinToken): Promise<string> {
    if (token.kind !== "one-time") {
      throw new Error("a service-account token needs identity.anchorsFile to know the registry by");
    }
    const agent = await newAgent({ rejectUnauthorized: false, minVersion: "TLSv1.3" });
    try {
      const { anchors } = await this.#call("v1/identity/trust", agent, trust);
      const found = anchors.find((anchor) => sha256OfCertificate(anchor) === token.anchorHash);
      if (found !== undefined) return found;
      throw new RegistryRefusal("the registry is not the one that the join token was made by");
    } finally {
      await agent.destroy();
    }
  }

  async #ownAgent(): Promise<Agent> {
    const tls = this.#tls;
    if (tls === null) throw new Error("this host has no certificate yet");
    const agent = this.#agent ?? (await newAgent(registryTlsOptions(tls)));
    // A certificate that came meanwhile wins.
    if (this.#tls === tls) this.#agent = agent;
    return agent;
  }

  /** Tries every registry once; a refusal of one is final. */
  async #call<T>(path: string, agent: Agent, schema: z.ZodType<T>, body?: object): Promise<T> {
    const { urls, callMs = CALL_MS } = this.#options;
    let failure: unknown = new Error("no registry with an https URL is named");
    for (const _ of urls) {
      const base = urls[this.#turn % urls.length] ?? "";
      const url = new URL(path, base.endsWith("/") ? base : `${base}/`);
      try {
        return await exchange(url, { agent, schema, body, callMs });
      } catch (error) {
        if (error instanceof RegistryRefusal) throw error;
        failure = error;
        this.#turn++;
      }
    }
    throw failure;
  }
}

interface Exchange<T> {
  readonly agent: Agent;
  readonly schema: z.ZodType<T>;
  readonly body: object | undefined;
  readonly callMs: number;
}

async function exchange<T>(url: URL, { agent, schema, body, callMs }: Exchange<T>): Promise<T> {
  const { request } = await import("undici");
  try {
    const response = await request(url, {
      dispatcher: agent,
      method: body === undefined ? "GET" : "POST",
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
      signal: AbortSignal.timeout(callMs),
    });
    return await readAnswer(response, schema);
  } catch (cause) {
    if (cause instanceof RegistryRefusal) throw cause;
    throw new Error(`no answer of ${url.origin}`, { cause });
  }
}

async function readAnswer<T>(
  { statusCode, body }: Dispatcher.ResponseData,
  schema: z.ZodType<T>,
): Promise<T> {
  const text = await body.text();
  if (statusCode === 200) {
    const parsed = schema.safeParse(JSON.parse(text));
    if (parsed.success) return parsed.data;
    throw new Error(`not understood: ${z.prettifyError(parsed.error).slice(0, REASON_LENGTH)}`);
  }
  const reason = `${statusCode}: ${reasonOf(text)}`;
  // 408 and 429 ask for patience; everything else below 500 stays so, and 501 too: the registry cannot do it.
  const isRefusal = statusCode >= 400 && statusCode < 500 && ![408, 429].includes(statusCode);
  if (isRefusal || statusCode === 501) throw new RegistryRefusal(reason);
  throw new Error(reason);
}

/** The registry's `{error}`, or the beginning of whatever it said. */
function reasonOf(text: string): string {
  try {
    const { error } = z.object({ error: z.string() }).parse(JSON.parse(text));
    return error.slice(0, REASON_LENGTH);
  } catch {
    return text.slice(0, REASON_LENGTH);
  }
}

async function newAgent(tls: object): Promise<Agent> {
  const { Agent: UndiciAgent } = await import("undici");
  return new UndiciAgent({
    ...{ allowH2: false, connections: 2, pipelining: 1, maxResponseSize: ANSWER_BYTES },
    // A resumed session would not be verified again.
    connect: { ...tls, allowH2: false, maxCachedSessions: 0, timeout: CALL_MS },
  });
}
