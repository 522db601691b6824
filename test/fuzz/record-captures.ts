import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer as createHttp1 } from "node:http";
import http2 from "node:http2";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { join } from "node:path";

/**
 * Records what real clients and servers send: curl, nghttp, h2load and Node, each by way of a relay that keeps the bytes of
 * both directions. Writes `corpus/<target>/capture-*.bin`. Needs curl, nghttp and h2load: `node test/fuzz/record-captures.ts`.
 */
const CORPUS = join(import.meta.dirname, "corpus");
/** Of each direction; what is longer is cut, as a connection that is lost does. */
const MOST_BYTES = 3_000;

interface Capture {
  readonly sent: Buffer;
  readonly answered: Buffer;
}

async function listen(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** Runs the client against the server's port by way of a relay. */
async function capture(
  upstream: number,
  run: (port: number) => Promise<unknown>,
): Promise<Capture> {
  const sent: Buffer[] = [];
  const answered: Buffer[] = [];
  const relay = createServer((client) => {
    const server = connect(upstream, "127.0.0.1");
    client.on("data", (chunk: Buffer) => sent.push(chunk));
    server.on("data", (chunk: Buffer) => answered.push(chunk));
    client.on("error", () => server.destroy());
    server.on("error", () => client.destroy());
    client.pipe(server).pipe(client);
  });
  await run(await listen(relay));
  relay.close();
  const cut = (chunks: Buffer[]) => Buffer.concat(chunks).subarray(0, MOST_BYTES);
  return { sent: cut(sent), answered: cut(answered) };
}

const command =
  (name: string, ...args: string[]) =>
  async (port: number) => {
    const all = args.map((arg) => arg.replace("PORT", `${port}`));
    const child = spawn(name, all, { stdio: ["ignore", "ignore", "inherit"] });
    await once(child, "close");
  };

async function nodeClient(port: number): Promise<void> {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  const stream = session.request(
    { ":method": "POST", ":path": "/node", cookie: "a=b; c=d", te: "trailers" },
    { waitForTrailers: true },
  );
  stream.on("wantTrailers", () => stream.sendTrailers({ "x-sum": "1" }));
  stream.resume().end("hello");
  await once(stream, "close");
  session.close();
  await once(session, "close");
}

const CLIENTS_2: Readonly<Record<string, (port: number) => Promise<unknown>>> = {
  curl: command(
    "curl",
    "-sS",
    "--http2-prior-knowledge",
    "-d",
    "a=b",
    "http://127.0.0.1:PORT/a?b",
    "http://127.0.0.1:PORT/c",
  ),
  nghttp: command(
    "nghttp",
    "-n",
    "-m",
    "4",
    "-H",
    "x-a: b",
    "http://127.0.0.1:PORT/d",
    "http://127.0.0.1:PORT/e",
  ),
  h2load: command("h2load", "-n", "12", "-m", "4", "http://127.0.0.1:PORT/f"),
  node: nodeClient,
};

const CLIENTS_1: Readonly<Record<string, (port: number) => Promise<unknown>>> = {
  get: command("curl", "-sS", "http://127.0.0.1:PORT/a?b=c"),
  post: command(
    "curl",
    "-sS",
    "-d",
    "hello",
    "-H",
    "Expect: 100-continue",
    "http://127.0.0.1:PORT/",
  ),
  chunked: command(
    "curl",
    "-sS",
    "-T",
    "biome.json",
    "-H",
    "Transfer-Encoding: chunked",
    "-H",
    "TE: trailers",
    "http://127.0.0.1:PORT/",
  ),
  head: command("curl", "-sS", "-I", "http://127.0.0.1:PORT/"),
  upgrade: command("curl", "-sS", "--http2", "http://127.0.0.1:PORT/"),
  fetch: async (port) =>
    (await fetch(`http://127.0.0.1:${port}/`, { headers: { cookie: "a=b" } })).text(),
};

function save(target: string, name: string, bytes: Buffer): void {
  mkdirSync(join(CORPUS, target), { recursive: true });
  writeFileSync(join(CORPUS, target, `capture-${name}.bin`), bytes);
}

/** What is behind the head. */
function bodyOf(bytes: Buffer): Buffer {
  return bytes.subarray(bytes.indexOf("\r\n\r\n") + 4);
}

/** A head without what follows. */
function headOf(bytes: Buffer): Buffer {
  return bytes.subarray(0, bytes.indexOf("\r\n\r\n") + 4);
}

/** The field blocks of a connection in the form of the target `hpack`. */
function blocksOf(bytes: Buffer): Buffer {
  const parts: Buffer[] = [Buffer.of(0)];
  let at = bytes.subarray(0, 3).toString("latin1") === "PRI" ? 24 : 0;
  while (at + 9 <= bytes.length) {
    const end = at + 9 + bytes.readUIntBE(at, 3);
    const start = at + 9 + ((bytes[at + 4]! & 0x20) === 0 ? 0 : 5);
    if (bytes[at + 3] === 1 && end <= bytes.length) {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(end - start);
      parts.push(length, bytes.subarray(start, end));
    }
    at = end;
  }
  return Buffer.concat(parts);
}

const server2 = http2.createServer((request, response) => {
  request.resume().on("end", () => {
    response.setHeader("content-type", "text/plain");
    response.end(`hello ${request.url}`);
  });
});
const port2 = await listen(server2 as unknown as Server);
for (const [name, run] of Object.entries(CLIENTS_2)) {
  const { sent, answered } = await capture(port2, run);
  save("session", name, sent);
  save("hpack", name, blocksOf(sent));
  // Of the same server: two are enough.
  if (name === "curl" || name === "node") {
    save("frames", `${name}-answer`, answered);
    save("hpack", `${name}-answer`, blocksOf(answered));
  }
  if (name === "curl") save("detection", "curl-h2", sent.subarray(0, 200));
}
server2.close();

const server1 = createHttp1((request, response) => {
  request.resume().on("end", () => {
    response.write("hello ");
    response.addTrailers({ "x-sum": "1" });
    response.end(`${request.url}`);
  });
});
const port1 = await listen(server1);
for (const [name, run] of Object.entries(CLIENTS_1)) {
  const { sent, answered } = await capture(port1, run);
  save("h1-head", name, headOf(sent));
  if (name === "post") save("h1-head", `${name}-answer`, headOf(answered));
  if (name === "get") save("detection", "curl", sent);
  if (name === "chunked")
    save("chunked", "curl", bodyOf(bodyOf(Buffer.concat([Buffer.from("\r\n\r\n"), sent]))));
  if (name === "get") save("chunked", "node", bodyOf(answered));
}
server1.close();
server1.closeAllConnections();
