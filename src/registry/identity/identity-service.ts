import { setImmediate as nextTurn } from "node:timers/promises";
import { hostSpiffeId } from "../../core/identity.ts";
import { readSigningRequest, type SigningRequest } from "../../identity/signing-request.ts";
import type { Catalog } from "../catalog.ts";
import type { Log } from "../log.ts";
import { RegistryError } from "../registry-error.ts";
import type { CertificateAuthority } from "./authority.ts";
import type { Enrolment, EnrolProof } from "./enrolment.ts";
import { type GrantRefusal, grantedIdentities, refusalOf } from "./granted-identities.ts";
import type { IssuanceLog, IssuedCertificate } from "./issuance-log.ts";

export interface IdentityServiceDeps {
  readonly authority: CertificateAuthority;
  readonly trustDomain: string;
  readonly catalog: Catalog;
  readonly issuance: IssuanceLog;
  readonly enrolment: Enrolment;
  readonly leafLifetimeMs: number;
  readonly hostLifetimeMs: number;
  /** See `IdentityOptions`. */
  readonly isHost: ((host: string) => Promise<boolean>) | undefined;
  readonly log: Log;
}

export interface CertificateRequest {
  readonly identity: string;
  readonly csr: string;
}

/** One of a batch: a chain, or the reason why not. */
export type CertificateAnswer =
  | { readonly identity: string; readonly chain: string }
  | { readonly identity: string; readonly error: string };

type Refusal = GrantRefusal | "malformed_request" | "mismatch";

const REASONS: Record<Refusal, string> = {
  malformed: "it is no SPIFFE ID",
  other_trust_domain: "it is of another trust domain",
  other_host: "it is another host's",
  reserved: "it is of a namespace of the mesh itself",
  not_on_this_host: "no workload or endpoint with it is registered on this host",
  malformed_request: "the signing request is malformed",
  mismatch: "the signing request is for another identity",
};
/** Signatures between two turns of the event loop, some 5 ms. */
const SIGNATURES_PER_TURN = 8;
/** Identities that one line of the log names. */
const NAMED = 5;

/** Decides who gets which certificate, and counts. */
export class IdentityService {
  readonly #deps: IdentityServiceDeps;
  #issued = 0;
  readonly #refused = new Map<string, number>();

  constructor(deps: IdentityServiceDeps) {
    this.#deps = deps;
  }

  /** What daemons need beside a chain. */
  trust() {
    return this.#deps.authority.trust();
  }

  /** Since the start: certificates, and refusals by reason. */
  counts() {
    return { issued: this.#issued, refused: Object.fromEntries(this.#refused) };
  }

  /** The first certificate of a host. Rejects with the reason where the proof is not taken. */
  async enrol(proof: EnrolProof, host: string, csr: string, address: string) {
    const { enrolment, log } = this.#deps;
    try {
      enrolment.slowDown(address);
      const request = this.#readHostRequest(csr, host);
      await enrolment.check(proof, host);
      this.#sayEnrolled(host, address);
      return await this.#certifyHost(request, host);
    } catch (error) {
      if (error instanceof RegistryError && error.status < 500) {
        enrolment.failed(address, error.status);
        this.#count(`enrol_${error.path ?? "refused"}`);
        log.warn("a host may not enrol", { host, address, reason: error.message });
      }
      throw error;
    }
  }

  /** A new certificate for a host that shows its present one. */
  async renewHost(host: string, csr: string) {
    let request: SigningRequest;
    try {
      request = this.#readHostRequest(csr, host);
      await this.#refuseGone(host);
    } catch (error) {
      this.#count("host_request");
      const reason = error instanceof Error ? error.message : String(error);
      this.#deps.log.warn("a host's certificate is refused", { host, reason });
      throw error;
    }
    return this.#certifyHost(request, host);
  }

  /** Else whoever has the key of a host that is gone would be the next one of that name. */
  async #refuseGone(host: string): Promise<void> {
    const isThere = (await this.#deps.isHost?.(host)) ?? true;
    if (!isThere) throw new RegistryError(403, `there is no host ${host} any more`, "host_gone");
  }

  /** Certificates for a host's workloads; each is granted or refused on its own. */
  async certify(host: string, requests: readonly CertificateRequest[]) {
    const { catalog, trustDomain, issuance } = this.#deps;
    const granted = grantedIdentities(catalog, trustDomain, host);
    const answers: CertificateAnswer[] = [];
    const issued: IssuedCertificate[] = [];
    const refused = new Map<Refusal, string[]>();
    for (const [index, { identity, csr }] of requests.entries()) {
      if (index % SIGNATURES_PER_TURN === SIGNATURES_PER_TURN - 1) await nextTurn();
      const judged = judge(granted, trustDomain, identity, csr);
      if ("refusal" in judged) {
        const { refusal, detail } = judged;
        refused.set(refusal, [...(refused.get(refusal) ?? []), identity]);
        answers.push({ identity, error: `${REASONS[refusal]}${detail}` });
        continue;
      }
      const { entry, chain } = this.#sign(judged.request, host);
      issued.push(entry);
      answers.push({ identity, chain });
    }
    this.#report(host, refused);
    if (issued.length > 0) await issuance.add(issued);
    return { certificates: answers, ...this.trust() };
  }

  /** Twice may be a machine that was set up anew, or somebody who takes its name. */
  #sayEnrolled(host: string, address: string): void {
    const { issuance, trustDomain, log } = this.#deps;
    const own = hostSpiffeId(trustDomain, host);
    const before = issuance.live().find(({ identity }) => identity === own);
    if (before === undefined) log.info("a host has enrolled", { host, address });
    else log.warn("a host has enrolled again", { host, address, before: before.serial });
  }

  #readHostRequest(csr: string, host: string): SigningRequest {
    const request = readRequest(csr);
    const expected = hostSpiffeId(this.#deps.trustDomain, host);
    if (request.identity === expected) return request;
    const reason = `the signing request is for ${request.identity}, not for ${expected}`;
    throw new RegistryError(403, reason, "csr");
  }

  async #certifyHost(request: SigningRequest, host: string) {
    const { entry, chain } = this.#sign(request, host);
    await this.#deps.issuance.add([entry]);
    return { chain, ...this.trust() };
  }

  #sign({ identity, publicKey }: SigningRequest, host: string) {
    const { authority, trustDomain, hostLifetimeMs, leafLifetimeMs, log } = this.#deps;
    const isHost = identity === hostSpiffeId(trustDomain, host);
    const issuer = authority.signer().id;
    const lifetimeMs = isHost ? hostLifetimeMs : leafLifetimeMs;
    const { chain, certificate, isCut } = authority.issue(identity, publicKey, lifetimeMs);
    if (isCut) log.warn("a certificate ends early, with its authority", { identity, host });
    this.#issued++;
    const entry: IssuedCertificate = {
      ...{ identity, host, issuer },
      serial: certificate.serialNumber.toLowerCase(),
      notBeforeMs: certificate.validFromDate.getTime(),
      notAfterMs: certificate.validToDate.getTime(),
      certificate: certificate.toString(),
    };
    return { entry, chain };
  }

  #report(host: string, refused: ReadonlyMap<Refusal, readonly string[]>): void {
    for (const [reason, identities] of refused) {
      for (const _ of identities) this.#count(reason);
      // One line per call: a hostile daemon shall not fill the disk.
      const facts = { host, reason, count: identities.length };
      const named = identities.slice(0, NAMED).map((identity) => identity.slice(0, 300));
      this.#deps.log.warn("a host asked for identities that it may not have", { ...facts, named });
    }
  }

  #count(reason: string): void {
    this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + 1);
  }
}

type Judged =
  | { readonly request: SigningRequest }
  | { readonly refusal: Refusal; readonly detail: string };

function judge(
  granted: ReadonlySet<string>,
  trustDomain: string,
  identity: string,
  csr: string,
): Judged {
  const refusal = refusalOf(granted, trustDomain, identity);
  if (refusal !== null) return { refusal, detail: "" };
  try {
    const request = readSigningRequest(csr);
    if (request.identity !== identity) return { refusal: "mismatch", detail: "" };
    return { request };
  } catch (error) {
    const detail = error instanceof Error ? `: ${error.message}` : "";
    return { refusal: "malformed_request", detail };
  }
}

function readRequest(csr: string): SigningRequest {
  try {
    return readSigningRequest(csr);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new RegistryError(400, `csr: ${reason}`, "csr", cause);
  }
}
