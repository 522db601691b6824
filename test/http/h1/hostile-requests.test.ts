import assert from "node:assert/strict";
import { test } from "node:test";
import { MeshError, type MeshErrorCode } from "../../../src/core/errors.ts";
import { byteByByte } from "../../helpers/chunks.ts";
import { LIMITS, latin1, meshErrorOf, parseRequest } from "../../helpers/heads.ts";

/** What the attack is, the bytes, what the error must name, and its code where it is not BAD_REQUEST. */
type Row = readonly [attack: string, bytes: string, names: RegExp, code?: MeshErrorCode];

const post = (...lines: string[]) =>
  `POST /a HTTP/1.1\r\nHost: a\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`;
const get = (target: string) => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`;
const host = (value: string) => `GET / HTTP/1.1\r\nHost:${value}\r\n\r\n`;
const CHUNKED = "Transfer-Encoding: chunked";

const FRAMING: Row[] = [
  ["CL.TE", post("Content-Length: 4", CHUNKED), /Content-Length together/],
  ["TE.CL", post(CHUNKED, "Content-Length: 4"), /Content-Length together/],
  ["CL.TE with a length of 0", post("Content-Length: 0", CHUNKED), /Content-Length together/],
  ["CL.CL, differing", post("Content-Length: 4", "Content-Length: 5"), /more than one Content-L/],
  ["CL.CL, equal", post("Content-Length: 4", "Content-Length: 4"), /more than one Content-L/],
  ["CL.CL in other case", post("Content-Length: 4", "content-LENGTH: 5"), /more than one Content/],
  ["CL as an equal list", post("Content-Length: 5, 5"), /Content-Length "5, 5"/],
  ["CL as a differing list", post("Content-Length: 5,6"), /Content-Length "5,6"/],
  ["CL with a plus sign", post("Content-Length: +5"), /Content-Length "\+5"/],
  ["CL with a minus sign", post("Content-Length: -5"), /Content-Length "-5"/],
  ["CL hexadecimal", post("Content-Length: 0x5"), /Content-Length "0x5"/],
  ["CL hexadecimal without prefix", post("Content-Length: a"), /Content-Length "a"/],
  ["CL with a fraction", post("Content-Length: 5.0"), /Content-Length "5.0"/],
  ["CL with an exponent", post("Content-Length: 1e3"), /Content-Length "1e3"/],
  ["CL with a space inside", post("Content-Length: 1 2"), /Content-Length "1 2"/],
  ["CL with a tab inside", post("Content-Length: 1\t2"), /Content-Length "1/],
  ["CL empty", post("Content-Length: "), /Content-Length ""/],
  ["CL in quotes", post('Content-Length: "5"'), /Content-Length/],
  ["CL with an underscore", post("Content-Length: 1_0"), /Content-Length "1_0"/],
  ["CL in fullwidth digits", post("Content-Length: \xef\xbc\x95"), /Content-Length/],
  ["CL of 2^53", post("Content-Length: 9007199254740992"), /Content-Length "9007199254740992"/],
  ["CL of 2^64 + 5", post("Content-Length: 18446744073709551621"), /Content-Length "18446/],
  ["CL with a vertical tab", post("Content-Length: \x0b5"), /control character.*Content-Length/],
  ["CL of CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 5\r\n\r\n", /CONNECT/],
  ["TE of CONNECT", `CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n${CHUNKED}\r\n\r\n`, /CONNECT/],
  ["TE in HTTP/1.0", `POST / HTTP/1.0\r\n${CHUNKED}\r\n\r\n`, /Transfer-Encoding in HTTP\/1.0/],
  ["TE.TE, equal", post(CHUNKED, CHUNKED), /more than one Transfer-Encoding/],
  ["TE.TE, second identity", post(CHUNKED, "Transfer-Encoding: identity"), /more than one Tr/],
  ["TE.TE, first identity", post("Transfer-Encoding: identity", CHUNKED), /Encoding "identity"/],
  ["TE identity", post("Transfer-Encoding: identity"), /Encoding "identity"/],
  ["TE xchunked", post("Transfer-Encoding: xchunked"), /Encoding "xchunked"/],
  ["TE chunkedx", post("Transfer-Encoding: chunkedx"), /Encoding "chunkedx"/],
  ["TE empty", post("Transfer-Encoding:"), /Encoding ""/],
  ["TE comma", post("Transfer-Encoding: chunked,"), /Encoding "chunked,"/],
  ["TE leading comma", post("Transfer-Encoding: ,chunked"), /Encoding ",chunked"/],
  ["TE in quotes", post('Transfer-Encoding: "chunked"'), /Transfer-Encoding/],
  ["TE with a parameter", post("Transfer-Encoding: chunked;q=1"), /Encoding "chunked;q=1"/],
  ["TE chunked twice", post("Transfer-Encoding: chunked, chunked"), /Encoding "chunked, chunked"/],
  ["TE chunked not last", post("Transfer-Encoding: chunked, gzip"), /Encoding "chunked, gzip"/],
  ["TE gzip without chunked", post("Transfer-Encoding: gzip"), /Encoding "gzip"/],
  ["TE two words", post("Transfer-Encoding: x chunked"), /Encoding "x chunked"/],
  ["TE with a vertical tab", post("Transfer-Encoding: \x0bchunked"), /control character/],
  ["TE with NUL", post("Transfer-Encoding: chunked\0"), /control character/],
  ["TE with NEL", post("Transfer-Encoding: chunked\x85"), /Encoding "chunked\\x85"/],
  ["TE behind a no-break space", post("Transfer-Encoding: \xa0chunked"), /Encoding "\\xa0chunked"/],
  ["TE folded", post("Transfer-Encoding:", " chunked"), /line folding behind "Transfer-Encoding"/],
  ["TE hidden by folding", post("X: a", " Transfer-Encoding: chunked"), /line folding behind "X"/],
  ["TE gzip, chunked", post("Transfer-Encoding: gzip, chunked"), /gzip/, "NOT_IMPLEMENTED"],
  ["TE cow, chunked", post("Transfer-Encoding: cow ,chunked"), /cow/, "NOT_IMPLEMENTED"],
];

const FIELDS: Row[] = [
  ["space before the colon", post("Content-Length : 5"), /before the colon of "Content-Length "/],
  ["tab before the colon", post("Transfer-Encoding\t: chunked"), /before the colon of "Transfer/],
  [
    "space before the first name",
    "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    /line folding behind the st/,
  ],
  ["tab folding", post("X: a", "\tb"), /line folding behind "X"/],
  ["line of blanks", post("X: a", "  "), /line folding behind "X"/],
  ["no colon", post("Content-Length 5"), /no colon in the field line "Content-Length 5"/],
  ["no name", post(": 5"), /a field without a name/],
  ["NUL in a value", post("X: a\0b"), /control character in the field "X"|character 0 /],
  ["NUL in a name", post("X\0: a"), /"X\\u0000" is no token|character 0 /],
  ["DEL in a value", post("X: a\x7fb"), /control character/],
  ["escape in a value", post("X: a\x1bb"), /control character/],
  ["backspace in a value", post("X: a\x08b"), /control character/],
  ["form feed in a value", post("X: a\x0cb"), /control character/],
  ["parenthesis in a name", post("X(y): a"), /"X\(y\)" is no token/],
  ["slash in a name", post("X/y: a"), /"X\/y" is no token/],
  ["space in a name", post("X y: a"), /"X y" is no token/],
  ["non-ASCII in a name", post("X\xe9: a"), /"X\\xe9" is no token/],
  ["brackets in a name", post("X[]: a"), /"X\[\]" is no token/],
  ["bare LF ends a field", "GET / HTTP/1.1\r\nX: a\nHost: a\r\n\r\n", /bare LF/],
  ["bare CR ends a field", "GET / HTTP/1.1\r\nX: a\rHost: a\r\n\r\n", /bare CR/],
  ["CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", /bare CR/],
  ["LF CR", "GET / HTTP/1.1\r\nHost: a\n\r\r\n\r\n", /bare LF/],
  ["bare LF hides an end", "GET / HTTP/1.1\r\nHost: a\n\nX: a\r\n\r\n", /bare LF/],
  ["all lines end with LF", "GET / HTTP/1.1\nHost: a\n\n", /bare LF/],
  ["the head ends with LF", "GET / HTTP/1.1\r\nHost: a\r\n\n", /bare LF/],
  ["the head ends with CR", "GET / HTTP/1.1\r\nHost: a\r\n\rX", /bare CR/],
  ["bad option in Connection", post("Connection: close, a b"), /the Connection "close, a b"/],
  ["no-break space in Connection", post("Connection: \xa0close"), /the Connection "\\xa0close"/],
  ["flood of options", post(`Connection: ${"a,".repeat(100)}a`), /the Connection/],
  ["other expectation", post("Expect: 200-maybe"), /200-maybe/, "EXPECTATION_FAILED"],
  ["empty expectation", post("Expect:"), /""/, "EXPECTATION_FAILED"],
  [
    "too many fields",
    post(...Array.from({ length: 100 }, (_, at) => `X-${at}: a`)),
    /more than 100 header fields/,
    "HEAD_TOO_LARGE",
  ],
  ["too large a head", post(`X: ${"a".repeat(70_000)}`), /more than 61440/, "HEAD_TOO_LARGE"],
];

const REQUEST_LINES: Row[] = [
  ["HTTP/0.9", "GET /\r\n\r\n", /request line/],
  ["no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n", /request line/],
  [
    "empty target",
    "GET  HTTP/1.1\r\nHost: a\r\n\r\n",
    /invalid characters in the request target ""/,
  ],
  ["two spaces before the target", get(" /"), /request target/],
  ["two spaces behind the target", get("/ "), /request target/],
  ["space in the target", get("/a b"), /request target "\/a b"/],
  ["tab for a space", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", /request line/],
  ["space behind the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", /request line|version/],
  ["space before the method", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", /the method ""/],
  ["method that is no token", "GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", /the method "GE\(T"/],
  ["method with a quote", 'G"T / HTTP/1.1\r\nHost: a\r\n\r\n', /the method/],
  ["method not in ASCII", "G\xcbT / HTTP/1.1\r\nHost: a\r\n\r\n", /the method "G\\xcbT"/],
  ["NUL in the method", "GE\0T / HTTP/1.1\r\nHost: a\r\n\r\n", /the method|character 0 /],
  ["NUL in the target", get("/\0"), /request target|character 0 /],
  ["bare CR in the target", get("/\rX"), /request target|bare CR/],
  ["CR for a line end", "GET / HTTP/1.1\rHost: a\r\n\r\n", /bare CR|request target/],
  ["lower-case version", "GET / http/1.1\r\nHost: a\r\n\r\n", /the version "http\/1.1"/],
  ["two-digit minor version", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", /the version "HTTP\/1.10"/],
  ["leading zero in the version", "GET / HTTP/01.1\r\nHost: a\r\n\r\n", /the version/],
  ["no minor version", "GET / HTTP/1\r\nHost: a\r\n\r\n", /the version "HTTP\/1"/],
  ["comma in the version", "GET / HTTP/1,1\r\nHost: a\r\n\r\n", /the version/],
  ["other protocol", "GET / ICY/1.1\r\nHost: a\r\n\r\n", /the version "ICY\/1.1"/],
  ["HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", /HTTP\/2.0/, "VERSION_NOT_SUPPORTED"],
  ["HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", /2.0/, "VERSION_NOT_SUPPORTED"],
  ["HTTP/0.9 spelled out", "GET / HTTP/0.9\r\n\r\n", /HTTP\/0.9/, "VERSION_NOT_SUPPORTED"],
  ["too long a line", get(`/${"a".repeat(9_000)}`), /more than 8192/, "REQUEST_LINE_TOO_LONG"],
  ["too long a method", `${"A".repeat(9_000)} / HTTP/1.1\r\n\r\n`, /8192/, "REQUEST_LINE_TOO_LONG"],
  ["flood of empty lines", `${"\r\n".repeat(6)}${get("/")}`, /empty lines/],
  ["LF before the request", `\n${get("/")}`, /bare LF|method/],
  ["TLS ClientHello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", /control character 22/],
  ["fragment", get("/a#b"), /request target "\/a#b"/],
  ["non-ASCII target", get("/\xe9"), /request target "\/\\xe9"/],
  ["broken escape", get("/%zz"), /request target "\/%zz"/],
  ["cut escape", get("/a%2"), /request target/],
  ["escaped NUL", get("/a%00.png"), /request target/],
  ["backslash in the path", get("/a\\..\\b"), /request target/],
  ["target without slash", get("a"), /neither path nor http/],
  ["authority for a GET", get("a:80"), /neither path nor http/],
  ["asterisk for a GET", get("*"), /OPTIONS/],
  ["asterisk and more", "OPTIONS *a HTTP/1.1\r\nHost: a\r\n\r\n", /neither path nor http/],
  ["other scheme", get("ftp://a/"), /neither path nor http/],
  ["file scheme", get("file:///etc/passwd"), /neither path nor http/],
  ["scheme without slashes", get("http:a"), /neither path nor http/],
  ["absolute-form without authority", get("http:///a"), /the authority ""/],
  ["user in absolute-form", get("http://u@a/"), /the authority "u@a"/],
  ["user and password in absolute-form", get("http://u:p@a/"), /the authority/],
  ["bad port in absolute-form", get("http://a:99999/"), /the authority "a:99999"/],
  ["backslash in absolute-form", get("http://a\\@b/"), /the authority/],
  ["escape in the absolute-form's host", get("http://a%2eb/"), /the authority/],
  ["fragment in absolute-form", get("http://a/#b"), /request target/],
  ["CONNECT with a path", "CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n", /CONNECT needs host:port/],
  ["CONNECT without a port", "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", /CONNECT needs host:port/],
  ["CONNECT with a URI", "CONNECT http://a:1/ HTTP/1.1\r\nHost: a\r\n\r\n", /CONNECT needs/],
  ["CONNECT with port 0", "CONNECT a:0 HTTP/1.1\r\nHost: a\r\n\r\n", /CONNECT needs/],
  ["CONNECT to IPv6 without port", "CONNECT [::1] HTTP/1.1\r\nHost: a\r\n\r\n", /CONNECT needs/],
];

const HOSTS: Row[] = [
  ["no Host", "GET / HTTP/1.1\r\nX: a\r\n\r\n", /no Host/],
  ["no field at all", "GET / HTTP/1.1\r\n\r\n", /no Host/],
  ["no Host with absolute-form", "GET http://a/ HTTP/1.1\r\nX: a\r\n\r\n", /no Host/],
  ["two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", /more than one Host/],
  ["two equal Hosts", "GET / HTTP/1.1\r\nHost: a\r\nhOST: a\r\n\r\n", /more than one Host/],
  ["two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", /more than one Host/],
  [
    "two Hosts with absolute-form",
    "GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    /one Host/,
  ],
  ["empty Host", host(""), /the Host ""/],
  ["blank Host", host("   "), /the Host ""/],
  ["user in Host", host(" u@a"), /the Host "u@a"/],
  ["path in Host", host(" a/b"), /the Host "a\/b"/],
  ["scheme in Host", host(" http://a"), /the Host/],
  ["query in Host", host(" a?b"), /the Host/],
  ["space in Host", host(" a b"), /the Host "a b"/],
  ["list in Host", host(" a, b"), /the Host "a, b"/],
  ["escape in Host", host(" a%2eb"), /the Host/],
  ["non-ASCII Host", host(" \xe9"), /the Host "\\xe9"/],
  ["quotes in Host", host(' "a"'), /the Host/],
  ["port without digits", host(" a:"), /the Host "a:"/],
  ["port of letters", host(" a:b"), /the Host "a:b"/],
  ["port 0", host(" a:0"), /the Host "a:0"/],
  ["port above 65535", host(" a:65536"), /the Host "a:65536"/],
  ["port of six digits", host(" a:100000"), /the Host/],
  ["port with leading zero", host(" a:080"), /the Host "a:080"/],
  ["port with sign", host(" a:+80"), /the Host/],
  ["two ports", host(" a:80:80"), /the Host/],
  ["port alone", host(" :80"), /the Host ":80"/],
  ["IPv6 without brackets", host(" ::1"), /the Host "::1"/],
  ["brackets around a name", host(" [a]"), /the Host "\[a\]"/],
  ["bracket not closed", host(" [::1"), /the Host/],
  ["text behind the bracket", host(" [::1]a"), /the Host/],
  ["zone in IPv6", host(" [fe80::1%25eth0]"), /the Host/],
  ["bad Host with absolute-form", "GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n", /the Host "a b"/],
];

for (const [attack, bytes, names, code = "BAD_REQUEST"] of [
  ...FRAMING,
  ...FIELDS,
  ...REQUEST_LINES,
  ...HOSTS,
]) {
  test(`refuses a request with ${attack}`, () => {
    const whole = meshErrorOf(() => parseRequest([latin1(bytes)]));
    assert.match(whole.message, names);
    assert.equal(whole.code, code);
  });

  test(`refuses a request with ${attack}, byte by byte`, () => {
    assert.equal(meshErrorOf(() => parseRequest(byteByByte(latin1(bytes)))).code, code);
  });
}

test("accepts what stays just within the limits", () => {
  const line = `GET /${"a".repeat(LIMITS.requestLineBytes - "GET / HTTP/1.1".length)} HTTP/1.1\r\n`;
  const fields = Array.from({ length: 98 }, (_, at) => `X-${at}: a\r\n`).join("");
  const start = `${line}Host: a\r\n${fields}`;
  const filler = "b".repeat(LIMITS.headBytes - start.length - "Y: \r\n\r\n".length);
  const bytes = latin1(`${start}Y: ${filler}\r\n\r\n`);
  for (const chunks of [[bytes], byteByByte(bytes)]) {
    assert.equal(parseRequest(chunks).bytes, LIMITS.headBytes);
  }
});

test("refuses and accepts in linear time what makes careless patterns backtrack", () => {
  const fill = (part: string, bytes = 60_000) => part.repeat(bytes / part.length);
  const heads = [
    post(`Transfer-Encoding: a${fill(" ")}b`),
    post(`Transfer-Encoding: a${fill(" ,")}b`),
    post(`Connection: a${fill(" ")}b`),
    post(`TE: ${fill(", ")}trailer`),
    post(`TE: trailers${fill(" ")}x`),
    post(`Upgrade: ${fill("h2")}`, "Connection: upgrade"),
    post(`X: a${fill(" ")}\0`),
    post(`X${fill(" ")}: a`),
    `GET / HTTP/1.1\r\n${fill("a:\r\n")}\0\r\n\r\n`,
    `GET / HTTP/1.1\r\n${fill("a: b\r\n ", 59_000)}\r\n\r\n`,
    get(`/${fill("%41", 8_100)}%`),
    get(`http://${fill("a:", 8_100)}`),
    host(` ${fill("a.")}:`),
    host(` [${fill("::")}`),
    `HTTP${fill(" ", 8_000)}\r\n\r\n`,
  ];
  const start = process.cpuUsage();
  for (const bytes of heads) {
    try {
      parseRequest([latin1(bytes)]);
    } catch (error) {
      assert.ok(error instanceof MeshError);
    }
  }
  const { user } = process.cpuUsage(start);
  // One head with a quadratic pattern alone takes a second or more.
  assert.ok(user < 500_000, `${user} us of CPU`);
});

for (const [limit, code] of [
  ["requestLineBytes", "REQUEST_LINE_TOO_LONG"],
  ["headBytes", "HEAD_TOO_LARGE"],
  ["headerCount", "HEAD_TOO_LARGE"],
] as const) {
  test(`refuses what exceeds ${limit} by one`, () => {
    const text = "GET /abc HTTP/1.1\r\nHost: a\r\nX: b\r\n\r\n";
    const bytes = latin1(text);
    const exact = { requestLineBytes: text.indexOf("\r"), headBytes: text.length, headerCount: 2 };
    for (const chunks of [[bytes], byteByByte(bytes)]) {
      assert.equal(parseRequest(chunks, exact).bytes, text.length);
      const less = { ...exact, [limit]: exact[limit] - 1 };
      assert.equal(meshErrorOf(() => parseRequest(chunks, less)).code, code);
    }
  });
}
