/**
 * The application of Gateway API's mesh tests: it answers with who it is and what came, HTTP on 8080 and gRPC on 7070, and
 * calls others when it is asked to. Argument: its hostname.
 */
import { createServer, request } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { GrpcClient } from "../../helpers/grpc-peers.ts";
import { answerLines } from "./answer-lines.ts";
import type { EchoAnswer, EchoCall, EchoSeen } from "./echo-reports.ts";

const TIMEOUT_MS = 8_000;
const AT_ONCE = 10;
const [hostname = "echo"] = process.argv.slice(2);

const web = createServer((incoming, response) => {
  const { method = "", url: path = "", httpVersion: version, headersDistinct } = incoming;
  const { host: [host = ""] = [], ...headers } = headersDistinct as Record<string, string[]>;
  const seen: EchoSeen = { hostname, method, path, host, protocol: `HTTP/${version}`, headers };
  response.end(JSON.stringify(seen));
});
await new Promise<void>((resolve) => web.listen(8_080, "::", resolve));

/** Of HTTP/2 itself: libraries of gRPC join lines of the same name, and what adds a line must add one. */
const calls = createHttp2Server();
calls.on("stream", (stream, fields, _flags, rawHeaders) => {
  const headers: Record<string, string[]> = {};
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const [name = "", value = ""] = rawHeaders.slice(at, at + 2);
    headers[name] = [...(headers[name] ?? []), value];
  }
  const { ":method": method = "", ":path": path = "", ":authority": host = "" } = fields;
  const message = Buffer.from(
    JSON.stringify({ hostname, method, path, host, protocol: "grpc", headers } satisfies EchoSeen),
  );
  stream.on("error", () => stream.destroy());
  stream.on("end", () => {
    stream.respond({ "content-type": "application/grpc" }, { waitForTrailers: true });
    // One message that is not compressed.
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    stream.end(Buffer.concat([prefix, message]));
  });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.resume();
});
await new Promise<void>((resolve) => calls.listen(7_070, "::", resolve));

answerLines(async (call: EchoCall & { readonly count: number }) => {
  const answers: EchoAnswer[] = [];
  const client = call.protocol === "grpc" ? new GrpcClient(placeOf(call), call.authority) : null;
  let left = call.count;
  const worker = async () => {
    while (left-- > 0) {
      answers.push(await (client === null ? http(call) : grpc(client, call)));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  client?.close();
  return { answers };
});

function placeOf({ address, port }: EchoCall): string {
  return `${address}:${port}`;
}

async function grpc(client: GrpcClient, { headers: metadata }: EchoCall): Promise<EchoAnswer> {
  const deadline = Date.now() + TIMEOUT_MS;
  const { code, details, messages } = await client.unary("", { metadata, deadline });
  const [message] = messages;
  const seen = message === undefined ? null : JSON.parse(message.toString());
  return { status: code, headers: {}, seen, ...(code === 0 ? {} : { error: details }) };
}

/** On a connection of its own; the name in the request is not what is dialled. */
function http({ address, port, authority, method, path, headers }: EchoCall): Promise<EchoAnswer> {
  return new Promise((resolve) => {
    const fail = (error: Error) =>
      resolve({ status: null, headers: {}, seen: null, error: String(error) });
    const sending = request({
      ...{ host: address, port, method, path, agent: false },
      headers: { ...headers, host: authority },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    sending.on("error", fail);
    sending.on("response", (response) => {
      let text = "";
      response.on("error", fail);
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      response.on("end", () => {
        const { statusCode: status = null, headersDistinct } = response;
        const isEcho = text.startsWith(`{"hostname":`);
        const seen = isEcho ? JSON.parse(text) : null;
        const answered = headersDistinct as Record<string, string[]>;
        resolve({ status, headers: answered, seen, ...(isEcho ? {} : { error: text }) });
      });
    });
    sending.end();
  });
}
