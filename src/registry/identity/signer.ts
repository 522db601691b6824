import { createHash, X509Certificate } from "node:crypto";
import { formatSpiffeId, SYSTEM_NAMESPACE } from "../../core/identity.ts";
import { splitPem } from "../../identity/pem.ts";
import { verifyChain } from "../../identity/verify-chain.ts";
import {
  type Authority,
  createAuthority,
  generateKeys,
  issueLeaf,
  privateKeyPem,
  readAuthority,
} from "../../identity/x509.ts";

/** Ten years, in which nobody has to think of it unless the key is lost. */
const ROOT_LIFETIME_MS = 3_652 * 86_400_000;
/** Clocks of hosts may differ by so much. */
const BACKDATE_MS = 60_000;
/** A trial leaf lives so long: it never leaves the process. */
const TRIAL_MS = 1_000;

/** An authority as it is stored: PEM all. */
export interface StoredSigner {
  /** The authority that signs, then those above it, the root last; a root of our own stands alone. */
  readonly chain: string;
  readonly privateKey: string;
}

export interface SignedLeaf {
  /** PEM: the leaf, then the intermediates, without the root. */
  readonly chain: string;
  readonly certificate: X509Certificate;
  /** The issuer's validity cut it short. */
  readonly isCut: boolean;
}

/** One authority: its chain up to the root, and its key. */
export class Signer {
  readonly stored: StoredSigner;
  /** The root. */
  readonly anchorCertificate: X509Certificate;
  /** SHA-256 (hex) of the certificate that signs, and of the root's. */
  readonly id: string;
  readonly anchorId: string;
  /** When the first certificate of the chain ends, ms since the epoch. */
  readonly notAfterMs: number;
  readonly #authority: Authority;
  readonly #certificates: readonly X509Certificate[];
  /** PEM of what leaves carry along. */
  readonly #intermediates: string;

  constructor(stored: StoredSigner) {
    const pems = splitPem("CERTIFICATE", stored.chain);
    const certificates = pems.map((pem) => new X509Certificate(pem));
    const [own, root] = [certificates[0], certificates.at(-1)];
    if (own === undefined || root === undefined) throw new TypeError("there is no certificate");
    this.stored = stored;
    this.#certificates = certificates;
    this.#authority = readAuthority(own.toString(), stored.privateKey);
    this.#intermediates = certificates.slice(0, -1).map(String).join("");
    this.anchorCertificate = root;
    this.id = sha256(own);
    this.anchorId = sha256(root);
    this.notAfterMs = Math.min(...certificates.map(({ validToDate }) => validToDate.getTime()));
  }

  /** A root of its own: ECDSA on P-256, for ten years. */
  static makeRoot(trustDomain: string, nowMs: number): Signer {
    const { certificate, privateKey } = createAuthority({
      commonName: `hostmesh root of ${trustDomain}`.slice(0, 64),
      names: { uris: [`spiffe://${trustDomain}`] },
      notBefore: new Date(nowMs - BACKDATE_MS),
      notAfter: new Date(nowMs + ROOT_LIFETIME_MS),
    });
    return new Signer({ chain: certificate, privateKey: privateKeyPem(privateKey) });
  }

  /** A certificate for both ends of mutual TLS, which ends with the chain above it at the latest. */
  sign(
    identity: string,
    publicKey: Parameters<typeof issueLeaf>[1]["publicKey"],
    validity: { readonly nowMs: number; readonly lifetimeMs: number },
  ): SignedLeaf {
    const { nowMs, lifetimeMs } = validity;
    const oldest = Math.max(
      ...this.#certificates.map(({ validFromDate }) => validFromDate.getTime()),
    );
    const wantedMs = nowMs + lifetimeMs;
    const leaf = issueLeaf(this.#authority, {
      ...{ publicKey, names: { uris: [identity] } },
      notBefore: new Date(Math.max(oldest, nowMs - BACKDATE_MS)),
      notAfter: new Date(Math.min(wantedMs, this.notAfterMs)),
    });
    return {
      chain: leaf + this.#intermediates,
      certificate: new X509Certificate(leaf),
      isCut: wantedMs > this.notAfterMs,
    };
  }

  /** Why no verifier would take its leaves; null: they are taken. Found out with one that is thrown away. */
  faultOf(trustDomain: string, nowMs: number): string | null {
    const last = this.#certificates.at(-1);
    if (last === undefined || !last.checkIssued(last)) {
      return "its chain does not reach a root: the last certificate is not signed by itself";
    }
    const trial = { trustDomain, namespace: SYSTEM_NAMESPACE, serviceAccount: "trial" };
    try {
      const { publicKey } = generateKeys();
      const validity = { nowMs, lifetimeMs: TRIAL_MS };
      const { certificate } = this.sign(formatSpiffeId(trial), publicKey, validity);
      const chain = [certificate, ...this.#certificates.slice(0, -1)];
      return verifyChain(chain, [last], nowMs, trustDomain).error ?? null;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }
}

function sha256(certificate: X509Certificate): string {
  return createHash("sha256").update(certificate.raw).digest("hex");
}
