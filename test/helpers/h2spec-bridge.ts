import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import {
  CLIENT_PREFACE,
  FLAG_END_HEADERS,
  FLAG_PADDED,
  FRAME_CONTINUATION,
  FRAME_HEADER_BYTES,
  FRAME_HEADERS,
} from "../../src/http/h2/codes.ts";
import { block } from "./h2-lab.ts";

/** Puts fields behind those of each request that a client of HTTP/2 sends, and leaves everything else as it is. */
export class FieldsAdder {
  readonly #more: Buffer;
  #rest: Buffer = Buffer.alloc(0);
  #isPreface = true;
  /** Streams that have had their head: what comes then are trailers. */
  readonly #begun = new Set<number>();

  constructor(fields: readonly string[]) {
    this.#more = block(fields);
  }

  add(chunk: Buffer): Buffer {
    const bytes = Buffer.concat([this.#rest, chunk]);
    const out: Buffer[] = [];
    let at = 0;
    if (this.#isPreface) {
      if (bytes.length < CLIENT_PREFACE.length) {
        this.#rest = bytes;
        return Buffer.alloc(0);
      }
      this.#isPreface = false;
      at = CLIENT_PREFACE.length;
      out.push(bytes.subarray(0, at));
    }
    while (bytes.length - at >= FRAME_HEADER_BYTES) {
      const end = at + FRAME_HEADER_BYTES + bytes.readUIntBE(at, 3);
      if (end > bytes.length) break;
      out.push(this.#frame(bytes.subarray(at, end)));
      at = end;
    }
    this.#rest = bytes.subarray(at);
    return Buffer.concat(out);
  }

  /** What is left of a frame that was never whole. */
  end(): Buffer {
    return this.#rest;
  }

  /** A frame with the end of a request's field block gets the fields; padding stays behind them. */
  #frame(whole: Buffer): Buffer {
    const type = whole[3];
    const flags = whole[4] ?? 0;
    const id = whole.readUInt32BE(5);
    const isHead = type === FRAME_HEADERS || type === FRAME_CONTINUATION;
    if (!isHead || (flags & FLAG_END_HEADERS) === 0 || this.#begun.has(id)) return whole;
    this.#begun.add(id);
    const isPadded = type === FRAME_HEADERS && (flags & FLAG_PADDED) !== 0;
    const padding = isPadded ? (whole[FRAME_HEADER_BYTES] ?? 0) : 0;
    const cut = whole.length - padding;
    // Padding that is longer than its frame is an error that has to stay one.
    if (cut <= FRAME_HEADER_BYTES) return whole;
    const longer = Buffer.concat([whole.subarray(0, cut), this.#more, whole.subarray(cut)]);
    longer.writeUIntBE(longer.length - FRAME_HEADER_BYTES, 0, 3);
    return longer;
  }
}

export interface Bridge {
  readonly port: number;
  close(): void;
}

/**
 * A port of loopback in the clear, each of whose connections goes on over one that `dial` opens; for clients that have no
 * certificate. `fields` are put into each request.
 */
export async function bridgeTo(
  dial: () => Promise<TLSSocket | Error>,
  fields: readonly string[] = [],
): Promise<Bridge> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    open.add(client);
    client.on("error", () => undefined);
    client.on("close", () => open.delete(client));
    void join(client, dial, fields);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = (): void => {
    server.close();
    for (const one of open) one.destroy();
  };
  return { port: (server.address() as AddressInfo).port, close };
}

async function join(
  client: Socket,
  dial: () => Promise<TLSSocket | Error>,
  fields: readonly string[],
): Promise<void> {
  const far = await dial();
  if (far instanceof Error) {
    client.destroy();
    throw far;
  }
  const adder = fields.length > 0 ? new FieldsAdder(fields) : null;
  client.on("data", (chunk) => far.write(adder?.add(chunk) ?? chunk));
  client.on("end", () => far.end(adder?.end() ?? ""));
  client.on("close", () => far.destroy());
  far.on("data", (chunk) => client.write(chunk));
  far.on("end", () => client.end());
  far.on("error", () => client.destroy());
  far.on("close", () => client.destroySoon());
}
