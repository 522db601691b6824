import { createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { parseSpiffeId } from "../core/identity.ts";
import { bits, type Der, decode, encode, integer, oid, sequence, set, tagged } from "./der.ts";
import {
  type DerValue,
  readBits,
  readContent,
  readDer,
  readOid,
  readParts,
  TAG,
} from "./der-reader.ts";
import { altNames } from "./extensions.ts";
import { decodePem, encodePem } from "./pem.ts";
import {
  EXTENSION,
  readAltNames,
  readBasicConstraints,
  readExtensions,
} from "./read-extensions.ts";

/**
 * PKCS #10 requests (RFC 2986) for a certificate of one SPIFFE ID: a key on P-256, an empty subject, and one extension,
 * the URI. They say who is asked for; whether the asker may have it is decided elsewhere.
 */

/** What a request asks for, after its signature has shown that the asker holds the key. */
export interface SigningRequest {
  /** A SPIFFE ID. */
  readonly identity: string;
  readonly publicKey: KeyObject;
}

const LABEL = "CERTIFICATE REQUEST";
const OID = { ecdsaWithSha256: "1.2.840.10045.4.3.2", extensionRequest: "1.2.840.113549.1.9.14" };
/** Ours take less than 700; the longest SPIFFE ID adds another 800. */
const MAX_PEM_CHARS = 4096;
const ATTRIBUTES_TAG = 0xa0;
/** SubjectPublicKeyInfo of an uncompressed point on P-256 (RFC 5480), up to the point: no other form is let in. */
const P256_PREFIX = Buffer.from("3059301306072a8648ce3d020106082a8648ce3d03010703420004", "hex");
const P256_SPKI_BYTES = 91;
const ALGORITHM = encode(sequence(oid(OID.ecdsaWithSha256)));

/** PEM. Throws a TypeError where the text is no SPIFFE ID, or the key is not on P-256. */
export function createSigningRequest(
  keys: { readonly privateKey: KeyObject; readonly publicKey: KeyObject },
  identity: string,
): string {
  if (parseSpiffeId(identity) === null) throw new TypeError(`not a SPIFFE ID: ${identity}`);
  const spki = keys.publicKey.export({ type: "spki", format: "der" });
  assertOnP256(spki);
  const extensions = sequence(...altNames({ uris: [identity] }, { critical: true }));
  const attribute = sequence(oid(OID.extensionRequest), set(extensions));
  const info = sequence(integer(Uint8Array.of(0)), sequence(), decode(spki), tagged(0, attribute));
  return encodePem(LABEL, encode(signed(info, keys.privateKey)));
}

/**
 * Reads a stranger's request. The subject is ignored. Throws a TypeError that says what is wrong for anything but one
 * URI on a key of P-256: other names, other extensions, other attributes, an authority's request, a signature by another
 * key, bytes behind the end.
 */
export function readSigningRequest(pem: string): SigningRequest {
  if (pem.length > MAX_PEM_CHARS) {
    throw new TypeError(`the request is longer than ${MAX_PEM_CHARS} characters`);
  }
  const [info, algorithm, signature, ...more] = readParts(
    readDer(decodePem(LABEL, pem)),
    TAG.sequence,
  );
  const [version, subject, spki, attributes, ...further] = readParts(info, TAG.sequence);
  if (more.length > 0 || further.length > 0) throw new TypeError("the request has further parts");
  if (!readContent(version, TAG.integer).equals(Buffer.of(0))) {
    throw new TypeError("the request is not of version 1");
  }
  readContent(subject, TAG.sequence);
  const publicKey = readKey(spki);
  if (algorithm === undefined || !algorithm.whole.equals(ALGORITHM)) {
    throw new TypeError("the request is not signed with ECDSA and SHA-256");
  }
  if (info === undefined || !verify("sha256", info.whole, publicKey, readBits(signature))) {
    throw new TypeError("the request is not signed by its own key");
  }
  return { identity: readIdentity(attributes), publicKey };
}

function signed(info: Der, privateKey: KeyObject): Der {
  const signature = sign("sha256", encode(info), privateKey);
  return sequence(info, sequence(oid(OID.ecdsaWithSha256)), bits(signature));
}

function readKey(spki: DerValue | undefined): KeyObject {
  readContent(spki, TAG.sequence);
  const der = spki?.whole ?? Buffer.alloc(0);
  assertOnP256(der);
  try {
    return createPublicKey({ key: der, format: "der", type: "spki" });
  } catch (cause) {
    throw new TypeError("the key is no point of P-256", { cause });
  }
}

function assertOnP256(spki: Buffer): void {
  const onP256 =
    spki.length === P256_SPKI_BYTES && spki.subarray(0, P256_PREFIX.length).equals(P256_PREFIX);
  if (!onP256) throw new TypeError("a key on P-256 is needed");
}

function readIdentity(attributes: DerValue | undefined): string {
  const [attribute, ...others] = readParts(attributes, ATTRIBUTES_TAG);
  const [kind, values, ...further] = readParts(attribute, TAG.sequence);
  if (others.length > 0 || further.length > 0 || readOid(kind) !== OID.extensionRequest) {
    throw new TypeError("the request has attributes other than its extensions");
  }
  const [list, ...lists] = readParts(values, TAG.set);
  if (lists.length > 0) throw new TypeError("the request has several lists of extensions");
  const extensions = readExtensions(list);
  const constraints = extensions.get(EXTENSION.basicConstraints);
  if (constraints !== undefined && readBasicConstraints(constraints.value).isAuthority) {
    throw new TypeError("the request is for an authority's certificate");
  }
  const names = extensions.get(EXTENSION.altNames);
  if (names === undefined) throw new TypeError("the request names no URI");
  const other = [...extensions.keys()].find((oid) => oid !== EXTENSION.altNames);
  if (other !== undefined) throw new TypeError(`the request asks for the extension ${other}`);
  return readOnlyUri(names.value);
}

function readOnlyUri(value: Buffer): string {
  const { uris, others } = readAltNames(value);
  if (others.length > 0) throw new TypeError(`the request has a name of kind ${others[0]}`);
  const [uri, ...more] = uris;
  if (uri === undefined || more.length > 0) {
    throw new TypeError(`the request has ${uris.length} URIs; it takes exactly one`);
  }
  if (parseSpiffeId(uri) === null) throw new TypeError("the request's URI is no SPIFFE ID");
  return uri;
}
