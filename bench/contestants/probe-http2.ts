import { once } from "node:events";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
} from "node:http2";
import {
  type CallShape,
  GRPC_FIELDS,
  GRPC_PREFIX_BYTES,
  GRPC_REQUEST,
  requestPath,
  UNARY,
} from "../h2/request.ts";
import type { Target } from "../model.ts";

export interface Http2Question {
  readonly protocol: "http2" | "grpc";
  /** Absent: unary. */
  readonly shape?: CallShape;
  /** Of one message. */
  readonly bodyBytes: number;
  readonly timeoutMs: number;
}

/**
 * Asks for one whole body over HTTP/2. By Node's own client, which has nothing in common with what is measured. Resolves
 * with what was wrong, or null.
 */
export async function askHttp2(target: Target, question: Http2Question): Promise<string | null> {
  const session = openHttp2(target);
  try {
    return await askOn(session, target, question);
  } finally {
    session.destroy();
  }
}

/** A connection of HTTP/2 to a target. What is wrong with it is told to those who ask on it. */
export function openHttp2({ host, port }: Target): ClientHttp2Session {
  const session = connect(`http://${host}:${port}`);
  session.on("error", () => undefined);
  return session;
}

/** As {@link askHttp2}, on a connection that stays. */
export async function askOn(
  session: ClientHttp2Session,
  { authority }: Target,
  { protocol, shape = UNARY, bodyBytes, timeoutMs }: Http2Question,
): Promise<string | null> {
  const isGrpc = protocol === "grpc";
  const messageBytes = bodyBytes + (isGrpc ? GRPC_PREFIX_BYTES : 0);
  try {
    const stream = session.request({
      ":path": requestPath(protocol, bodyBytes, shape),
      ":authority": authority,
      ...(isGrpc ? { ":method": "POST", ...GRPC_FIELDS } : {}),
    });
    stream.setTimeout(timeoutMs, () => stream.destroy(new Error("no answer")));
    const ask = isGrpc ? sender(stream, shape) : null;
    if (ask === null) stream.end();
    else ask();
    let trailers: IncomingHttpHeaders = {};
    stream.once("trailers", (fields) => {
      trailers = fields;
    });
    const [head] = (await once(stream, "response")) as [IncomingHttpHeaders];
    let bytes = 0;
    for await (const chunk of stream) {
      const before = Math.floor(bytes / messageBytes);
      bytes += (chunk as Buffer).length;
      if (ask !== null && Math.floor(bytes / messageBytes) > before) ask();
    }
    if ((head[":status"] as unknown) !== 200) return `it was answered with ${head[":status"]}`;
    const expected = messageBytes * shape.messages;
    // A gRPC error has no content, and may have its status in the head.
    const status = trailers["grpc-status"] ?? head["grpc-status"];
    if (isGrpc && status !== "0") return `it was answered with grpc-status ${status}`;
    return bytes === expected ? null : `${bytes} bytes came instead of ${expected}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** What sends the next message of a call, and nothing behind the last. */
function sender(stream: ClientHttp2Stream, { call, messages }: CallShape): () => void {
  const message = Buffer.from(GRPC_REQUEST, "latin1");
  let left = call === "bidi" ? messages : 1;
  return () => {
    left--;
    if (left > 0) stream.write(message);
    else if (left === 0) stream.end(message);
  };
}
