import type { OnReadOpts, Socket } from "node:net";

/** As much as Node decrypts at once: a record of TLS. */
const RECORD_BYTES = 16_384;

/** What all connections of this thread are decrypted into: its bytes last for one callback. */
export const decryptedBuffer: Buffer = Buffer.allocUnsafeSlow(RECORD_BYTES);

/** What of `onread` Node gives to `net.Socket` alone, by the names of the symbols under which a socket keeps it. */
const NAMES = ["kBuffer", "kBufferCb"];

/**
 * Has a TLS connection whose handshake is done decrypt into `decryptedBuffer`, and not into fresh memory for each record, which
 * costs a receiver of much a third of its time in garbage collection. Node has `onread` for sockets that it dials itself;
 * this is the other private detail of Node that is used, and where a runtime has it not everything goes on by `data`
 * events, as does what was decrypted before. A stop holds for the socket only: what Node has received is still decrypted and
 * handed over.
 */
export function decryptInto(secured: Socket, callback: OnReadOpts["callback"]): Socket {
  const known = Object.getOwnPropertySymbols(secured);
  const [buffer, onRead] = NAMES.map((name) => known.find((one) => one.description === name));
  const inner = secured as unknown as {
    [key: symbol]: unknown;
    readonly _handle?: { useUserBuffer?: (buffer: Buffer) => void };
  };
  const handle = inner._handle;
  if (buffer === undefined || onRead === undefined || handle?.useUserBuffer === undefined) {
    return secured;
  }
  // Else what comes next would overtake it.
  if (secured.readableLength > 0) return secured;
  inner[buffer] = decryptedBuffer;
  inner[onRead] = callback;
  handle.useUserBuffer(decryptedBuffer);
  return secured;
}
