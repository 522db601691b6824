/** May the character be part of ...: one bit per question, one table for all. */
const NAME = 1;
const TOKEN = 2;
const VALUE = 4;
const TARGET = 8;

/** Bits of each latin1 character; what is beyond has none. */
const BITS = new Uint8Array(256);
for (let code = 0; code < 256; code++) {
  const char = String.fromCharCode(code);
  const isToken = /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(char);
  if (isToken) BITS[code]! |= /[A-Z]/.test(char) ? TOKEN : NAME | TOKEN;
  if (/[\t\x20-\x7e\x80-\xff]/.test(char)) BITS[code]! |= VALUE;
  if (/[!"$-~]/.test(char)) BITS[code]! |= TARGET;
}

/**
 * Is this a field name of HTTP/2: a token (RFC 9110 section 5.6.2) in lower case? RFC 9113 section 8.2.1 only forbids
 * some characters; a name that is no token has no meaning in HTTP/1.1 and might get one there.
 */
export function isFieldName(text: string): boolean {
  return text !== "" && consistsOf(text, NAME);
}

/** Is this a field value, as HTTP/1.1 has it (RFC 9110 section 5.5): not `isPadded`, and without control characters? */
export function isFieldValue(text: string): boolean {
  return !isPadded(text) && consistsOf(text, VALUE);
}

/** Does white space begin or end it? No value of HTTP/2 has that, RFC 9113 section 8.2.1. */
export function isPadded(text: string): boolean {
  return isSpace(text.charCodeAt(0)) || isSpace(text.charCodeAt(text.length - 1));
}

/** Is this a method, that is, a token? */
export function isMethod(text: string): boolean {
  return text !== "" && consistsOf(text, TOKEN);
}

/** Can this stand in a request line of HTTP/1.1 as its target: visible ASCII without a fragment? */
export function isTargetText(text: string): boolean {
  return consistsOf(text, TARGET);
}

/** A loop: for texts as short as these it is faster than a pattern. */
function consistsOf(text: string, bit: number): boolean {
  for (let at = 0; at < text.length; at++) {
    if ((BITS[text.charCodeAt(at)]! & bit) === 0) return false;
  }
  return true;
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
