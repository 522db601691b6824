import assert from "node:assert/strict";
import { test } from "node:test";
import { byteByByte } from "../../helpers/chunks.ts";
import { latin1, meshErrorOf, parseResponse } from "../../helpers/heads.ts";

/** What the attack is, the bytes, and what the error must name. */
type Row = readonly [attack: string, bytes: string, names: RegExp];

const line = (text: string) => `${text}\r\nContent-Length: 0\r\n\r\n`;
const ok = (...lines: string[]) =>
  `HTTP/1.1 200 OK\r\n${lines.map((field) => `${field}\r\n`).join("")}\r\n`;
const CHUNKED = "Transfer-Encoding: chunked";

const ROWS: Row[] = [
  ["no version", line("200 OK"), /status line "200 OK"/],
  ["text that is no HTTP", "hello, world\r\n\r\n", /status line/],
  ["lower-case version", line("http/1.1 200 OK"), /status line/],
  ["HTTP/2.0", line("HTTP/2.0 200 OK"), /status line/],
  ["HTTP/0.9", line("HTTP/0.9 200 OK"), /status line/],
  ["two-digit minor version", line("HTTP/1.10 200 OK"), /status line/],
  ["other protocol", line("ICY 200 OK"), /status line/],
  ["two spaces before the status", line("HTTP/1.1  200 OK"), /status line/],
  ["tab before the status", line("HTTP/1.1\t200 OK"), /status line/],
  ["tab behind the status", line("HTTP/1.1 200\tOK"), /status line/],
  ["status of two digits", line("HTTP/1.1 20 OK"), /status line/],
  ["status of four digits", line("HTTP/1.1 2000 OK"), /status line/],
  ["status 000", line("HTTP/1.1 000 OK"), /status line/],
  ["status 099", line("HTTP/1.1 099 OK"), /status line/],
  ["status 600", line("HTTP/1.1 600 OK"), /status line/],
  ["status 999", line("HTTP/1.1 999 OK"), /status line/],
  ["negative status", line("HTTP/1.1 -20 OK"), /status line/],
  ["status with letters", line("HTTP/1.1 2xx OK"), /status line/],
  ["no status", line("HTTP/1.1"), /status line/],
  ["NUL in the reason", line("HTTP/1.1 200 O\0K"), /status line|character 0 /],
  ["bare CR in the reason", line("HTTP/1.1 200 O\rK"), /status line|bare CR/],
  ["bare LF behind the status line", "HTTP/1.1 200 OK\nX: a\r\n\r\n", /status line|bare LF/],
  ["LF line ends", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", /bare LF/],
  ["an empty line first", `\r\n${ok("Content-Length: 0")}`, /empty lines before the head/],
  ["CL.TE", ok("Content-Length: 4", CHUNKED), /Content-Length together/],
  ["TE.CL", ok(CHUNKED, "Content-Length: 4"), /Content-Length together/],
  ["two lengths", ok("Content-Length: 4", "Content-Length: 5"), /more than one Content-Length/],
  ["two equal lengths", ok("Content-Length: 4", "Content-Length: 4"), /more than one Content-Len/],
  ["a list of lengths", ok("Content-Length: 4, 4"), /the Content-Length "4, 4"/],
  ["a signed length", ok("Content-Length: +4"), /the Content-Length/],
  ["a negative length", ok("Content-Length: -1"), /the Content-Length/],
  ["a hexadecimal length", ok("Content-Length: 0x10"), /the Content-Length/],
  ["a huge length", ok("Content-Length: 99999999999999999999"), /the Content-Length/],
  ["an empty length", ok("Content-Length:"), /the Content-Length ""/],
  ["two codings", ok(CHUNKED, CHUNKED), /more than one Transfer-Encoding/],
  ["gzip, chunked", ok("Transfer-Encoding: gzip, chunked"), /the Transfer-Encoding/],
  ["chunked, gzip", ok("Transfer-Encoding: chunked, gzip"), /the Transfer-Encoding/],
  ["identity", ok("Transfer-Encoding: identity"), /the Transfer-Encoding "identity"/],
  ["xchunked", ok("Transfer-Encoding: xchunked"), /the Transfer-Encoding/],
  [
    "chunked in HTTP/1.0",
    `HTTP/1.0 200 OK\r\n${CHUNKED}\r\n\r\n`,
    /Transfer-Encoding in HTTP\/1.0/,
  ],
  ["204 with chunked", `HTTP/1.1 204 No\r\n${CHUNKED}\r\n\r\n`, /content in a 204 response/],
  ["204 with a length", "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", /content in a 204 resp/],
  ["103 with a length", "HTTP/1.1 103 E\r\nContent-Length: 5\r\n\r\n", /content in a 103 response/],
  ["101 without Upgrade", "HTTP/1.1 101 S\r\nConnection: upgrade\r\n\r\n", /101 without Upgrade/],
  ["101 without Connection", "HTTP/1.1 101 S\r\nUpgrade: a\r\n\r\n", /101 without Upgrade/],
  [
    "101 in HTTP/1.0",
    "HTTP/1.0 101 S\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n",
    /101 without Upgrade/,
  ],
  ["folding", ok("X: a", " b"), /line folding behind "X"/],
  ["folding of the first field", ok(" X: a"), /line folding behind the start line/],
  ["space before the colon", ok("Content-Length : 4"), /whitespace before the colon/],
  ["no colon", ok("Content-Length 4"), /no colon/],
  ["no name", ok(": 4"), /without a name/],
  ["bad name", ok("X{}: 4"), /no token/],
  ["NUL in a value", ok("X: a\0b"), /control character/],
  ["escape in a value", ok("X: \x1b[31m"), /control character/],
  ["response splitting by LF", ok("X: a\nSet-Cookie: b"), /bare LF/],
  ["response splitting by CR", ok("X: a\rSet-Cookie: b"), /bare CR/],
  ["bad option in Connection", ok("Connection: a b"), /the Connection "a b"/],
  ["too many fields", ok(...Array.from({ length: 101 }, (_, at) => `X-${at}: a`)), /more than 100/],
  ["too large a head", ok(`X: ${"a".repeat(70_000)}`), /a head of more than 61440 bytes/],
];

for (const [attack, bytes, names] of ROWS) {
  test(`refuses a response with ${attack}`, () => {
    const whole = meshErrorOf(() => parseResponse([latin1(bytes)]));
    assert.match(whole.message, names);
    assert.equal(whole.code, "UPSTREAM_PROTOCOL");
  });

  test(`refuses a response with ${attack}, byte by byte`, () => {
    const error = meshErrorOf(() => parseResponse(byteByByte(latin1(bytes))));
    assert.equal(error.code, "UPSTREAM_PROTOCOL");
  });
}
