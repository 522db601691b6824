const DECLARED_BY = "by the port's appProtocol or by hostmesh-protocol";

/** Type SETTINGS, no flags, stream 0 (RFC 9113 section 4.1), behind a length. */
const SETTINGS = Buffer.from([0x4, 0, 0, 0, 0, 0]);
const LENGTH_BYTES = 3;

/**
 * Does what a server has sent, or as much of it as is here, begin like HTTP/2: with SETTINGS, whatever it was sent itself (RFC
 * 9113 section 3.4)? No head of HTTP/1 begins with 0.
 */
export function beginsLikeHttp2(chunk: Buffer, start: number, end: number): boolean {
  if (chunk[start] !== 0) return false;
  const from = start + LENGTH_BYTES;
  const size = Math.min(end - from, SETTINGS.length);
  return size <= 0 || chunk.compare(SETTINGS, 0, size, from, from + size) === 0;
}

/** For people: why an endpoint was not understood, and what is to be done. */
export function speaksHttp2(peer: string): string {
  return `${peer} seems to speak HTTP/2, and was spoken to in HTTP/1.1: declare http2 or grpc ${DECLARED_BY}`;
}

/** Behind what an endpoint has done that should speak HTTP/2, and may not. */
export const HOW_TO_DECLARE = `if it speaks HTTP/1.1, declare http ${DECLARED_BY}`;

export function speaksHttp1(peer: string): string {
  return `${peer} seems to speak HTTP/1.1, and was spoken to in HTTP/2: declare http ${DECLARED_BY}`;
}
