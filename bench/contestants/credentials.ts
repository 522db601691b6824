import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type Authority,
  createAuthority,
  generateKeys,
  issueLeaf,
  privateKeyPem,
} from "../../src/identity/x509.ts";
import { slug } from "./relay.ts";

/** Paths of the PEM files by which a proxy proves who it is, and knows others. */
export interface Credentials {
  readonly authority: string;
  readonly certificate: string;
  /** Beside the certificate, under its name and `.key`, where HAProxy looks for it. */
  readonly key: string;
}

/** Gives every proxy of a field a certificate of its own. */
export interface Issuer {
  /** For a workload, which is called by this name. */
  issue(workload: string): Promise<Credentials>;
}

const TRUST_DOMAIN = "spiffe://bench.local";
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const SECRET = 0o600;

/** Makes an authority for one run. `folder` must go with the run: private keys are kept nowhere else. */
export async function openIssuer(folder: string): Promise<Issuer> {
  const now = Date.now();
  // An hour earlier, so that no clock is too late for it.
  const validity = { notBefore: new Date(now - HOUR_MS), notAfter: new Date(now + DAY_MS) };
  const names = { uris: [TRUST_DOMAIN] };
  const signer = createAuthority({ commonName: "hostmesh bench", names, ...validity });
  const authority = join(folder, "authority.pem");
  await writeFile(authority, signer.certificate);
  return {
    issue: (workload) => issue(signer, { folder, authority, workload, ...validity }),
  };
}

/** The identity of a workload of the bench, as its certificate says it. */
export function spiffeId(workload: string): string {
  return `${TRUST_DOMAIN}/ns/default/sa/${workload}`;
}

async function issue(
  signer: Authority,
  given: {
    readonly folder: string;
    readonly authority: string;
    readonly workload: string;
    readonly notBefore: Date;
    readonly notAfter: Date;
  },
): Promise<Credentials> {
  const { folder, authority, workload, notBefore, notAfter } = given;
  const { privateKey, publicKey } = generateKeys();
  const leaf = issueLeaf(signer, {
    ...{ publicKey, notBefore, notAfter, commonName: workload },
    names: { uris: [spiffeId(workload)], dnsNames: [workload] },
  });
  const certificate = join(folder, `${slug(workload)}.pem`);
  const key = `${certificate}.key`;
  await writeFile(certificate, leaf);
  await writeFile(key, privateKeyPem(privateKey), { mode: SECRET });
  return { authority, certificate, key };
}
