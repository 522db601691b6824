/** What is read of a ClientHello before any cryptography: the name that it asks for. */
export type ClientHello =
  /** Its end is still to come. */
  | "incomplete"
  /** These bytes begin no TLS handshake, or one that is out of form. */
  | "malformed"
  | {
      /** Server name (RFC 6066 section 3), lower-case; "" where it asks for none. */
      readonly serverName: string;
    };

const RECORD_HEADER_BYTES = 5;
const HANDSHAKE_HEADER_BYTES = 4;
const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
/** RFC 8446 section 5.1: records carry at most 2^14 bytes. */
const MAX_FRAGMENT_BYTES = 16_384;
const RANDOM_BYTES = 32;
const SERVER_NAME = 0;
const HOST_NAME = 0;

/** So many bytes are enough for every ClientHello that is accepted. */
export const MAX_CLIENT_HELLO_BYTES = RECORD_HEADER_BYTES + MAX_FRAGMENT_BYTES;

/**
 * Reads the server name out of the first bytes of a connection (RFC 8446 sections 4.1.2 and 5.1), so that the TLS
 * context, with its certificate and its ticket key, can be chosen before OpenSSL sees anything. A ClientHello that does
 * not lie in one record is refused: no implementation in use splits one of this size.
 */
export function readClientHello(bytes: Buffer): ClientHello {
  if (bytes.length > 0 && bytes[0] !== HANDSHAKE) return "malformed";
  if (bytes.length > 1 && bytes[1] !== 3) return "malformed";
  if (bytes.length > RECORD_HEADER_BYTES && bytes[RECORD_HEADER_BYTES] !== CLIENT_HELLO) {
    return "malformed";
  }
  if (bytes.length < RECORD_HEADER_BYTES) return "incomplete";
  const size = bytes.readUInt16BE(3);
  if (size <= HANDSHAKE_HEADER_BYTES || size > MAX_FRAGMENT_BYTES) return "malformed";
  if (bytes.length < RECORD_HEADER_BYTES + size) return "incomplete";
  const message = bytes.subarray(RECORD_HEADER_BYTES, RECORD_HEADER_BYTES + size);
  if (message.readUIntBE(1, 3) !== size - HANDSHAKE_HEADER_BYTES) return "malformed";
  try {
    return { serverName: serverNameOf(new Reader(message.subarray(HANDSHAKE_HEADER_BYTES))) };
  } catch (error) {
    if (error instanceof RangeError) return "malformed";
    throw error;
  }
}

/** Throws a RangeError where lengths contradict each other. */
function serverNameOf(hello: Reader): string {
  hello.take(2 + RANDOM_BYTES);
  hello.vector(1); // legacy_session_id
  hello.vector(2); // cipher_suites
  hello.vector(1); // legacy_compression_methods
  const extensions = hello.vector(2);
  let name: string | null = null;
  while (!extensions.done) {
    const type = extensions.number(2);
    const body = extensions.vector(2);
    if (type !== SERVER_NAME) continue;
    // RFC 8446 section 4.2: not more than one of a type. RFC 6066: not more than one name of a type; others are unknown.
    if (name !== null) throw new RangeError("two server names");
    const names = body.vector(2);
    if (names.number(1) !== HOST_NAME) throw new RangeError("an unknown type of name");
    name = names.vector(2).text().toLowerCase();
    if (!names.done || !body.done) throw new RangeError("two server names");
  }
  if (!hello.done) throw new RangeError("bytes behind the extensions");
  return name ?? "";
}

/** Reads the presentation language of TLS (RFC 8446 section 3); throws a RangeError beyond the end. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at === this.#bytes.length;
  }

  take(size: number): Buffer {
    const end = this.#at + size;
    if (end > this.#bytes.length) throw new RangeError("beyond the end");
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  number(size: 1 | 2): number {
    return this.take(size).readUIntBE(0, size);
  }

  /** What stands behind a length of so many bytes. */
  vector(lengthBytes: 1 | 2): Reader {
    return new Reader(this.take(this.number(lengthBytes)));
  }

  text(): string {
    return this.#bytes.toString("latin1", this.#at);
  }
}
