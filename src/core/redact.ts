/** What stands in place of what may be a secret. */
export const REDACTED = "[redacted]";

/** Fields whose values are secrets by their name. Names of files and addresses are none. */
const SECRET_FIELD = /token|secret|passw|credential|authorization|cookie|api-?_?key|private|jwks$/i;
const PLACE_FIELD = /(file|uri|url|dir|path|audience|account|ms)$/i;
/** Below them all values are those of headers, parameters or cookies, or texts of an application. */
const HOSTILE_FIELD =
  /header|cookie|quer(y|ies)|param|^body$|^output$|^values$|^notValues$|claims/i;
/** Fields that say of such a value what it is about, and not what it is. */
const PLAIN_FIELD =
  /^(name|kind|type|match|path|percent|invert|ignoreCase|weight|service|subset|port|method)$/;
/** What users put there, no part of the mesh reads as a whole. */
const FREE_FIELD = /^(meta|annotations|managedFields|tags|nodeMeta)$/i;

/** Texts that are secrets wherever they stand. */
const SECRET_TEXTS: readonly RegExp[] = [
  // PEM of anything that is no certificate (RFC 7468).
  /-----BEGIN (?!CERTIFICATE)[A-Z ]+-----[\s\S]*?(?:-----END [A-Z ]+-----|$)/g,
  // A JSON Web Token (RFC 7519), of which the header begins with {".
  /\beyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)*/g,
  // A join token of the mesh.
  /\bhm1\.[\w-]+\.[\w-]+(?:\.[0-9a-f]+)?/g,
  // Credentials of HTTP (RFC 9110 section 11.4) and of its headers in a text.
  /\b(?:Bearer|Basic|Digest|Negotiate)\s+[\w+/=.~-]{6,}/gi,
  /(?<=\b(?:authorization|proxy-authorization|cookie|set-cookie|x-api-key)["']?\s*[:=]\s*["']?)[^\r\n"']+/gi,
  // A parameter that names itself.
  /(?<=[?&;\s](?:access_token|token|api_?key|secret|password|passwd|signature|sig|code)=)[^&\s"'#]+/gi,
];
/** The user information of a URL (RFC 3986 section 3.2.1). */
const USER_INFO = /(?<=\b[a-z][a-z0-9+.-]*:\/\/)[^/\s@?#"']+@/gi;

/** A text without what looks like a secret in it. */
export function redactText(text: string): string {
  let result = text.replace(USER_INFO, `${REDACTED}@`);
  for (const pattern of SECRET_TEXTS) result = result.replace(pattern, REDACTED);
  return result;
}

/**
 * A copy of plain data without secrets: values of fields that hold secrets by their name, values of headers, parameters and
 * cookies, texts of applications, metadata, and whatever looks like a token, a key or credentials. Names and addresses stay.
 */
export function redactData(value: unknown): unknown {
  return redacted(value, "", false);
}

function redacted(value: unknown, field: string, hostile: boolean): unknown {
  if (typeof value === "string") return hostile ? hiddenText(value) : redactText(value);
  if (typeof value === "number" && hostile && !PLAIN_FIELD.test(field)) return REDACTED;
  if (Array.isArray(value)) return redactedList(value, field, hostile);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, below]) => [name, redactedField(name, below, hostile)]),
  );
}

function hiddenText(value: string): string {
  return value === "" ? "" : REDACTED;
}

/** Name and value of a header stay together as a pair; the name may be seen. */
function redactedList(list: readonly unknown[], field: string, hostile: boolean): unknown[] {
  const [name, value] = list;
  if (hostile && list.length === 2 && typeof name === "string" && typeof value === "string") {
    return [redactText(name), REDACTED];
  }
  return list.map((each) => redacted(each, field, hostile));
}

function redactedField(name: string, value: unknown, hostile: boolean): unknown {
  if (FREE_FIELD.test(name)) return emptied(value);
  if (typeof value === "number") return redacted(value, name, hostile);
  if (typeof value === "string") {
    if (PLACE_FIELD.test(name) || (hostile && PLAIN_FIELD.test(name))) return redactText(value);
    if (SECRET_FIELD.test(name)) return hiddenText(value);
  }
  return redacted(value, name, hostile || HOSTILE_FIELD.test(name) || isSecretList(name, value));
}

/** In the form that readers of the field expect. */
function emptied(value: unknown): unknown {
  if (Array.isArray(value)) return [];
  if (typeof value === "object") return value === null ? null : {};
  return REDACTED;
}

function isSecretList(name: string, value: unknown): boolean {
  return Array.isArray(value) && SECRET_FIELD.test(name) && !PLACE_FIELD.test(name);
}
