import { once } from "node:events";
import { connect, type IncomingHttpHeaders } from "node:http2";
import { GRPC_FIELDS, GRPC_PREFIX_BYTES, GRPC_REQUEST, requestPath } from "../h2/request.ts";
import type { Target } from "../model.ts";

export interface Http2Question {
  readonly protocol: "http2" | "grpc";
  readonly bodyBytes: number;
  readonly timeoutMs: number;
}

/**
 * Asks for one whole body over HTTP/2. By Node's own client, which has nothing in common with what is measured. Resolves
 * with what was wrong, or null.
 */
export async function askHttp2(
  { host, port, authority }: Target,
  { protocol, bodyBytes, timeoutMs }: Http2Question,
): Promise<string | null> {
  const isGrpc = protocol === "grpc";
  const session = connect(`http://${host}:${port}`);
  session.on("error", () => undefined);
  try {
    const stream = session.request({
      ":path": requestPath(protocol, bodyBytes),
      ":authority": authority,
      ...(isGrpc ? { ":method": "POST", ...GRPC_FIELDS } : {}),
    });
    stream.setTimeout(timeoutMs, () => stream.destroy(new Error("no answer")));
    stream.end(isGrpc ? Buffer.from(GRPC_REQUEST, "latin1") : undefined);
    let trailers: IncomingHttpHeaders = {};
    stream.once("trailers", (fields) => {
      trailers = fields;
    });
    const [head] = (await once(stream, "response")) as [IncomingHttpHeaders];
    let bytes = 0;
    for await (const chunk of stream) bytes += (chunk as Buffer).length;
    if ((head[":status"] as unknown) !== 200) return `it was answered with ${head[":status"]}`;
    const expected = bodyBytes + (isGrpc ? GRPC_PREFIX_BYTES : 0);
    // A gRPC error has no content, and may have its status in the head.
    const status = trailers["grpc-status"] ?? head["grpc-status"];
    if (isGrpc && status !== "0") return `it was answered with grpc-status ${status}`;
    return bytes === expected ? null : `${bytes} bytes came instead of ${expected}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    session.destroy();
  }
}
