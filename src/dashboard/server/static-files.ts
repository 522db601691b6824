import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { extname, join, relative, sep } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, gzip } from "node:zlib";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".woff2": "font/woff2",
  ".txt": "text/plain; charset=utf-8",
  ".webmanifest": "application/manifest+json",
};
const COMPRESSED = new Set([".html", ".js", ".css", ".json", ".svg", ".txt", ".webmanifest"]);
/** All files together: they are kept in memory, so that no path of a request ever reaches the disk. */
const MAX_BYTES = 33_554_432;
/** Vite names what lies here by its content. */
const NAMED_BY_CONTENT = /^\/assets\/.*-[\w-]{8,}\.\w+$/;

const VARIANTS = ["br", "gzip", "identity"] as const;
type Variant = (typeof VARIANTS)[number];

interface StaticFile {
  readonly type: string;
  readonly etag: string;
  readonly cacheControl: string;
  readonly bodies: ReadonlyMap<Variant, Buffer>;
}

/** The files of the page by their path (`/index.html`). */
export type StaticFiles = ReadonlyMap<string, StaticFile>;

/** Reads and compresses a folder; empty where there is none. Rejects where it holds more than {@link MAX_BYTES}. */
export async function loadStaticFiles(folder: string): Promise<StaticFiles> {
  const files = new Map<string, StaticFile>();
  let bytes = 0;
  for (const path of await filesIn(folder)) {
    const body = await readFile(path);
    bytes += body.length;
    if (bytes > MAX_BYTES) throw new Error(`${folder} holds more than ${MAX_BYTES} bytes`);
    const name = `/${relative(folder, path).split(sep).join("/")}`;
    files.set(name, await prepare(name, body));
  }
  return files;
}

async function filesIn(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}

async function prepare(name: string, body: Buffer): Promise<StaticFile> {
  const extension = extname(name);
  const bodies = new Map<Variant, Buffer>([["identity", body]]);
  if (COMPRESSED.has(extension) && body.length > 512) {
    bodies.set("br", await promisify(brotliCompress)(body));
    bodies.set("gzip", await promisify(gzip)(body));
  }
  return {
    type: TYPES[extension] ?? "application/octet-stream",
    etag: createHash("sha256").update(body).digest("base64url").slice(0, 22),
    cacheControl: NAMED_BY_CONTENT.test(name) ? "public, max-age=31536000, immutable" : "no-cache",
    bodies,
  };
}

/** The file for a path; the page itself for a path within it (`/services/shop/cart`); null: there is nothing. */
export function findStatic(files: StaticFiles, path: string): StaticFile | null {
  const found = files.get(path === "/" ? "/index.html" : path);
  if (found !== undefined) return found;
  const isFile = path.startsWith("/assets/") || /\.\w+$/.test(path);
  return isFile ? null : (files.get("/index.html") ?? null);
}

export function sendStatic(
  request: IncomingMessage,
  response: ServerResponse,
  file: StaticFile,
): void {
  const variant = chooseVariant(request.headers["accept-encoding"], file);
  const body = file.bodies.get(variant) ?? Buffer.alloc(0);
  // Another body under the same name would be the wrong bytes for a cache: the entity tag names the encoding too.
  const etag = `"${file.etag}${variant === "identity" ? "" : `-${variant}`}"`;
  response.setHeader("content-type", file.type);
  response.setHeader("cache-control", file.cacheControl);
  response.setHeader("etag", etag);
  response.setHeader("vary", "accept-encoding");
  if (variant !== "identity") response.setHeader("content-encoding", variant);
  if (isKnown(request.headers["if-none-match"], etag)) {
    response.statusCode = 304;
    response.end();
    return;
  }
  response.setHeader("content-length", body.length);
  response.end(request.method === "HEAD" ? undefined : body);
}

/** The smallest that the client takes; `q=0` refuses one (RFC 9110, 12.5.3). */
function chooseVariant(accepted: string | undefined, { bodies }: StaticFile): Variant {
  const taken = new Set(
    (accepted ?? "")
      .toLowerCase()
      .split(",")
      .filter((part) => !/;\s*q=0(\.0*)?\s*$/.test(part))
      .map((part) => part.split(";")[0]?.trim()),
  );
  return VARIANTS.find((variant) => bodies.has(variant) && taken.has(variant)) ?? "identity";
}

function isKnown(header: string | undefined, etag: string): boolean {
  const tags = (header ?? "").split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  return tags.includes(etag) || tags.includes("*");
}
