import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from "node:crypto";
import {
  bits,
  type Der,
  decode,
  encode,
  explicit,
  integer,
  oid,
  partsOf,
  sequence,
  set,
  time,
  utf8,
} from "./der.ts";
import {
  type AltNames,
  altNames,
  authorityConstraints,
  authorityKeyId,
  findSubjectKeyId,
  leafConstraints,
  subjectKeyId,
} from "./extensions.ts";
import { encodePem } from "./pem.ts";

/**
 * X.509 certificates (RFC 5280) with ECDSA keys on P-256: node-forge builds the structures, node:crypto holds the keys
 * and signs. Node's own crypto reads certificates, but makes none.
 */

/** Both ends are part of it. Certificates hold whole seconds; fractions are cut off. */
export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** Who signs: its certificate (PEM), and the key that belongs to it. */
export interface Authority {
  readonly certificate: string;
  readonly privateKey: KeyObject;
}

export interface AuthorityRequest extends Validity {
  readonly commonName: string;
  /** The trust domain, as the URI `spiffe://cluster.local` (SPIFFE X.509-SVID section 4.1). */
  readonly names?: AltNames;
}

export interface LeafRequest extends Validity {
  /** The holder's; on P-256. */
  readonly publicKey: KeyObject;
  readonly names: AltNames;
  /** May be left out: who it is, is said by the alternative names. */
  readonly commonName?: string;
}

const OID = { commonName: "2.5.4.3", ecdsaWithSha256: "1.2.840.10045.4.3.2" };
/** Node's name of P-256. */
const CURVE = "prime256v1";
/** RFC 5280 section 4.1.2.2: at most 20 octets; section 7.1 of the CA/Browser Forum's rules: at least 64 random bits. */
const SERIAL_BYTES = 16;
/** RFC 7093 section 2, method 1: the leftmost 160 bits of the key's SHA-256. */
const KEY_ID_BYTES = 20;
/** An uncompressed point of P-256, which ends SubjectPublicKeyInfo: a byte for its form, and two coordinates. */
const POINT_BYTES = 65;
const VERSION_3 = integer(Uint8Array.of(2));

/** A key pair on the curve P-256. */
export function generateKeys(): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } {
  return generateKeyPairSync("ec", { namedCurve: CURVE });
}

/** A self-signed authority that may sign leaves, and no further authorities. */
export function createAuthority({
  commonName,
  names = {},
  ...validity
}: AuthorityRequest): Authority {
  const { privateKey, publicKey } = generateKeys();
  const name = distinguishedName(commonName);
  const certificate = certify(privateKey, {
    ...{ issuer: name, subject: name, publicKey, validity },
    extensions: [
      ...authorityConstraints(),
      subjectKeyId(keyIdOf(publicKey)),
      ...altNames(names, { critical: false }),
    ],
  });
  return { certificate, privateKey };
}

/**
 * Reads back what was stored: PEM of the certificate, PEM of the key. Throws a TypeError where it is not an authority,
 * or the two do not belong together.
 */
export function readAuthority(certificate: string, privateKey: string): Authority {
  const parsed = new X509Certificate(certificate);
  const key = createPrivateKey(privateKey);
  if (!parsed.ca) throw new TypeError("the certificate is not an authority's");
  if (!parsed.checkPrivateKey(key)) {
    throw new TypeError("the authority's certificate belongs to another key");
  }
  return { certificate: parsed.toString(), privateKey: key };
}

/**
 * A certificate for the holder of a key, for both ends of mutual TLS. Returns PEM, without the authority's own
 * certificate. Throws a TypeError for names that no certificate can hold, and for keys that are not on P-256.
 */
export function issueLeaf(authority: Authority, request: LeafRequest): string {
  const { publicKey, names, commonName, ...validity } = request;
  const issuer = readIssuer(authority);
  return certify(authority.privateKey, {
    ...{ issuer: issuer.name, publicKey, validity },
    subject: distinguishedName(commonName),
    extensions: [
      ...leafConstraints(),
      subjectKeyId(keyIdOf(publicKey)),
      authorityKeyId(issuer.keyId),
      // RFC 5280 section 4.1.2.6: critical where there is no subject.
      ...altNames(names, { critical: commonName === undefined }),
    ],
  });
}

/** The key as PEM (PKCS #8), as servers read it. */
export function privateKeyPem(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}

interface Body {
  readonly issuer: Der;
  readonly subject: Der;
  readonly publicKey: KeyObject;
  readonly validity: Validity;
  readonly extensions: readonly Der[];
}

/** Certificate and TBSCertificate, RFC 5280 section 4.1; the algorithm has no parameters (RFC 5758 section 3.2). */
function certify(signer: KeyObject, { issuer, subject, publicKey, validity, extensions }: Body) {
  assertOnP256(signer);
  assertOnP256(publicKey);
  const { notBefore, notAfter } = validity;
  if (!(notBefore < notAfter)) throw new TypeError("the certificate would never be valid");
  const algorithm = sequence(oid(OID.ecdsaWithSha256));
  const body = sequence(
    explicit(0, VERSION_3),
    integer(newSerial()),
    algorithm,
    issuer,
    sequence(time(notBefore), time(notAfter)),
    subject,
    decode(spkiOf(publicKey)),
    explicit(3, sequence(...extensions)),
  );
  const signature = sign("sha256", encode(body), signer);
  return encodePem("CERTIFICATE", encode(sequence(body, algorithm, bits(signature))));
}

/** Positive, and with a first byte that needs no other before it. */
function newSerial(): Buffer {
  const serial = randomBytes(SERIAL_BYTES);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  return serial;
}

/** A name without parts where there is none. */
function distinguishedName(commonName: string | undefined): Der {
  if (commonName === undefined) return sequence();
  return sequence(set(sequence(oid(OID.commonName), utf8(commonName))));
}

/** What a leaf repeats of its issuer, byte for byte: chains are built by comparing them. */
function readIssuer({ certificate, privateKey }: Authority): { name: Der; keyId: Buffer } {
  const [body] = partsOf(decode(new X509Certificate(certificate).raw));
  // Version (present in all that have extensions), serial, algorithm, issuer, validity, subject, key, extensions.
  const fields = body === undefined ? [] : partsOf(body);
  const [name, extensions] = [fields[5], fields[7]];
  if (name === undefined) throw new TypeError("the authority's certificate is no X.509 version 3");
  const own = extensions && findSubjectKeyId(partsOf(extensions)[0] ?? extensions);
  return { name, keyId: own ?? keyIdOf(createPublicKey(privateKey)) };
}

function keyIdOf(publicKey: KeyObject): Buffer {
  const point = spkiOf(publicKey).subarray(-POINT_BYTES);
  return createHash("sha256").update(point).digest().subarray(0, KEY_ID_BYTES);
}

function spkiOf(publicKey: KeyObject): Buffer {
  return publicKey.export({ type: "spki", format: "der" });
}

function assertOnP256({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): void {
  if (asymmetricKeyType === "ec" && asymmetricKeyDetails?.namedCurve === CURVE) return;
  throw new TypeError(`a key on P-256 is needed, not ${asymmetricKeyType ?? "a secret"}`);
}
