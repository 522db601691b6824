/** How request paths are normalised, as the settings `mesh.*` say. */
export interface PathSettings {
  readonly pathNormalization: "none" | "base" | "merge-slashes" | "decode-and-merge-slashes";
  readonly escapedSlashes: "keep" | "reject" | "unescape";
}

/** What a path must contain for anything to change: an escape, a backslash, a dot or an empty segment, a fragment. */
const SUSPICIOUS = /[%\\#]|\/[./]/;
const HEX = /^[0-9A-Fa-f]{2}$/;
/** RFC 3986 section 2.3. */
const UNRESERVED = /^[A-Za-z0-9\-._~]$/;

/**
 * A request target with its path in the one form that policies are matched against, and that has to be sent on, so
 * that an endpoint sees what was allowed: escapes of unreserved characters decoded and others in upper case (RFC 3986
 * section 6.2.2), dot segments removed (section 5.2.4), backslashes as slashes, and by level escaped slashes decoded
 * and runs of slashes merged (Envoy's `normalize_path`, `path_with_escaped_slashes_action` and `merge_slashes`, in
 * its order). The query is left alone, and so is a target that is no path (`*`, an authority).
 *
 * Returns the same string where nothing changes, and null for what has to be refused with 400: `%00`, a fragment, and
 * escaped slashes where the settings say so. Normalising twice is normalising once.
 */
export function normalizePath(target: string, settings: PathSettings): string | null {
  if (settings.pathNormalization === "none") return target;
  const suspicious = target.search(SUSPICIOUS);
  if (suspicious === -1) return target;
  const start = pathStart(target);
  if (start === -1) return target;
  const query = target.indexOf("?", start);
  if (query !== -1 && suspicious > query) {
    return target.includes("#", query) ? null : target;
  }
  const path = query === -1 ? target.slice(start) : target.slice(start, query);
  const normal = normalOf(path, settings);
  if (normal === null || target.includes("#")) return null;
  if (normal === path) return target;
  return target.slice(0, start) + normal + (query === -1 ? "" : target.slice(query));
}

/** Where the path of an origin-form or absolute-form target begins; -1: it has none. */
function pathStart(target: string): number {
  if (target.startsWith("/")) return 0;
  const scheme = /^https?:\/\/[^/?#]*/i.exec(target);
  if (scheme === null) return -1;
  return target.charAt(scheme[0].length) === "/" ? scheme[0].length : -1;
}

function normalOf(
  path: string,
  { pathNormalization, escapedSlashes }: PathSettings,
): string | null {
  const decodes = pathNormalization === "decode-and-merge-slashes" || escapedSlashes === "unescape";
  if (escapedSlashes === "reject" && /%(?:2f|5c)/i.test(path)) return null;
  const decoded = decodeUnreserved(path, decodes);
  if (decoded === null) return null;
  const plain = removeDotSegments(decoded.replaceAll("\\", "/"));
  return pathNormalization === "base" ? plain : plain.replace(/\/{2,}/g, "/");
}

/** Null where a zero byte is escaped. */
function decodeUnreserved(path: string, slashes: boolean): string | null {
  if (!path.includes("%")) return path;
  let out = "";
  for (let at = 0; at < path.length; at++) {
    const digits = path.slice(at + 1, at + 3);
    if (path[at] !== "%" || !HEX.test(digits)) {
      out += path[at];
      continue;
    }
    const character = String.fromCharCode(Number.parseInt(digits, 16));
    if (character === "\0") return null;
    const isSlash = character === "/" || character === "\\";
    if (isSlash && slashes) out += "/";
    else if (UNRESERVED.test(character) && !endsInStray(out)) out += character;
    else out += `%${digits.toUpperCase()}`;
    at += 2;
  }
  return out;
}

/**
 * Would a decoded character complete an escape with a stray percent sign before it? Then it stays escaped, because
 * what comes out is decoded again by whoever comes next. A whole escape is written at once, so a percent sign among
 * the last two characters is a stray one.
 */
function endsInStray(out: string): boolean {
  return out.endsWith("%") || out.at(-2) === "%";
}

/** RFC 3986 section 5.2.4, for a path that begins with a slash. */
function removeDotSegments(path: string): string {
  if (!path.includes("/.")) return path;
  const segments = path.split("/");
  const last = segments.at(-1);
  const kept: string[] = [];
  for (const segment of segments.slice(1)) {
    if (segment === "..") kept.pop();
    else if (segment !== ".") kept.push(segment);
  }
  if (last === "." || last === "..") kept.push("");
  return `/${kept.join("/")}`;
}
