import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect, constants, type OutgoingHttpHeaders } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
/** Of a program's output. */
const MAX_OUTPUT_BYTES = 16 * 1_048_576;

/** What a client asks for. */
export interface Ask {
  readonly method?: "GET" | "POST" | "HEAD";
  readonly path: string;
  readonly authority: string;
  readonly body?: Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  readonly trailers?: Readonly<Record<string, string>>;
  /** Waits for 100 (Continue) before its content. */
  readonly expects?: boolean;
  /** Pads its frames. */
  readonly pads?: boolean;
  /** Opens this window for each stream, in bytes: one less than a power of two. */
  readonly windowBytes?: number;
}

/** What it got. `fields` are those of the head and of the trailers; of a field that came twice the last one. */
export interface Seen {
  readonly statuses: readonly number[];
  readonly fields: Readonly<Record<string, string>>;
  readonly bodyBytes: number;
  readonly bodySum: string;
}

export type H2Client = (port: number, ask: Ask) => Promise<Seen>;

export function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Node's own. */
export const nodeClient: H2Client = async (port, ask) => {
  const session = connect(`http://127.0.0.1:${port}`, {
    ...(ask.pads === true ? { paddingStrategy: constants.PADDING_STRATEGY_MAX } : {}),
    ...(ask.windowBytes === undefined ? {} : { settings: { initialWindowSize: ask.windowBytes } }),
  });
  session.on("error", () => undefined);
  try {
    return await askNode(session, ask);
  } finally {
    session.destroy();
  }
};

async function askNode(session: ReturnType<typeof connect>, ask: Ask): Promise<Seen> {
  const { method = "GET", path, authority, body, trailers, expects } = ask;
  const stream = session.request(
    {
      ...{ ":method": method, ":path": path, ":authority": authority, ...ask.headers },
      ...(expects === true ? { expect: "100-continue" } : {}),
    },
    { endStream: body === undefined, waitForTrailers: trailers !== undefined },
  );
  const statuses: number[] = [];
  const fields: Record<string, string> = {};
  const note = (some: OutgoingHttpHeaders) => {
    if (some[":status"] !== undefined) statuses.push(Number(some[":status"]));
    Object.assign(fields, some);
  };
  for (const event of ["headers", "response", "trailers"]) stream.on(event, note);
  stream.on("wantTrailers", () => stream.sendTrailers({ ...trailers }));
  if (expects === true) {
    stream.on("continue", () => stream.end(body));
  } else if (body !== undefined) stream.end(body);
  const parts: Buffer[] = [];
  stream.on("data", (part: Buffer) => parts.push(part));
  await once(stream, "close");
  if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) throw new Error(`reset: ${stream.rstCode}`);
  const all = Buffer.concat(parts);
  return { statuses, fields, bodyBytes: all.length, bodySum: sha256(all) };
}

/** Runs with a folder of its own, which has the request's content in the file `body`. */
async function inFolder<T>(ask: Ask, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "h2-client-"));
  try {
    if (ask.body !== undefined) await writeFile(join(folder, "body"), ask.body);
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const headerArgs = (headers: Readonly<Record<string, string>>) =>
  Object.entries(headers).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);

export const curlClient: H2Client = (port, ask) =>
  inFolder(ask, async (folder) => {
    const { method = "GET", body, headers = {}, path, authority, expects } = ask;
    const [head, content] = [join(folder, "head"), join(folder, "content")];
    await run("curl", [
      ...["-sS", "-m", "10", "--http2-prior-knowledge", "-D", head, "-o", content],
      ...headerArgs({ ...headers, Host: authority }),
      ...(method === "HEAD" ? ["-I"] : []),
      ...(body === undefined ? [] : ["--data-binary", `@${join(folder, "body")}`]),
      ...(expects === true ? ["-H", "Expect: 100-continue"] : []),
      `http://127.0.0.1:${port}${path}`,
    ]);
    const text = await readFile(head, "latin1");
    const all = method === "HEAD" ? Buffer.alloc(0) : await readFile(content);
    const fields: Record<string, string> = {};
    for (const [, name = "", value = ""] of text.matchAll(/^([\w-]+): (.*)\r$/gm)) {
      fields[name.toLowerCase()] = value;
    }
    const statuses = [...text.matchAll(/^HTTP\/2 (\d+)/gm)].map(([, status]) => Number(status));
    return { statuses, fields, bodyBytes: all.length, bodySum: sha256(all) };
  });

/** Its frames are read from what it says of them, the content from a second run. */
export const nghttpClient: H2Client = (port, ask) =>
  inFolder(ask, async (folder) => {
    const { method = "GET", headers = {}, trailers = {}, path, authority, windowBytes } = ask;
    const args = [
      ...headerArgs({ ...headers, ":authority": authority, ":method": method }),
      ...(ask.body === undefined ? [] : ["-d", join(folder, "body")]),
      ...Object.entries(trailers).flatMap(([name, value]) => ["--trailer", `${name}: ${value}`]),
      ...(ask.trailers === undefined ? [] : ["--no-content-length"]),
      ...(ask.pads === true ? ["--padding=200"] : []),
      ...(ask.expects === true ? ["--expect-continue"] : []),
      ...(windowBytes === undefined ? [] : ["-w", `${Math.log2(windowBytes + 1)}`, "-W", "16"]),
      ...["-t", "10", `http://127.0.0.1:${port}${path}`],
    ];
    const options = { maxBuffer: MAX_OUTPUT_BYTES, encoding: "buffer" as const };
    const frames = (await run("nghttp", ["-v", "-n", ...args], options)).stdout.toString("latin1");
    const { stdout } = await run("nghttp", args, options);
    const fields: Record<string, string> = {};
    const statuses: number[] = [];
    for (const [, name = "", value = ""] of frames.matchAll(
      /recv \(stream_id=\d+\) (:?[\w-]+): (.*)$/gm,
    )) {
      fields[name] = value;
      if (name === ":status") statuses.push(Number(value));
    }
    const reset = /recv RST_STREAM frame[^]*?error_code=(\w+)/.exec(frames)?.[1];
    if (reset !== undefined && reset !== "NO_ERROR") throw new Error(`reset: ${reset}`);
    if (/Some requests were not processed/.test(frames)) throw new Error("not processed");
    return { statuses, fields, bodyBytes: stdout.length, bodySum: sha256(stdout) };
  });
