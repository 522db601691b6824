import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MeshError, type MeshErrorCode } from "../../../src/core/errors.ts";
import { checkRequestFields } from "../../../src/http/h2/field-rules.ts";
import { requestHeadOf } from "../../../src/http/h2/request-head.ts";
import { RULES, requestOf, translated } from "../../helpers/h2-heads.ts";
import { meshErrorOf } from "../../helpers/heads.ts";

/** What the attack is, the list, and what the fault must name. */
type Row = readonly [attack: string, fields: string[], names: RegExp];

const SMUGGLED = "GET /admin HTTP/1.1\r\nHost: inside\r\n\r\n";
/** In lower case: a line that would be well-formed in HTTP/2 too. */
const CHUNKED = "transfer-encoding: chunked";

/** Values that end the line, with what stands behind, and those that some reader might take for a line end. */
const ENDS = [
  "\r\n",
  "\n",
  "\r",
  "\0",
  "\r\n\r\n",
  "\n\n",
  "\x0b",
  "\x0c",
  "\x1c",
  "\x7f",
  "\u010a",
];

const LENGTHS: Row[] = [
  ["H2.TE: transfer-encoding", requestOf({}, "transfer-encoding", "chunked"), /transfer-encoding/],
  ["H2.TE: another coding", requestOf({}, "transfer-encoding", "x"), /transfer-encoding/],
  ["H2.TE: an empty transfer-encoding", requestOf({}, "transfer-encoding", ""), /transfer-enc/],
  ["H2.TE in upper case", requestOf({}, "Transfer-Encoding", "chunked"), /field name/],
  ["H2.TE with a space behind the name", requestOf({}, "transfer-encoding ", "chunked"), /name/],
  ["H2.TE with a tab behind the name", requestOf({}, "transfer-encoding\t", "chunked"), /name/],
  ["H2.TE by te", requestOf({}, "te", "chunked"), /te: "chunked"/],
  [
    "H2.TE by te with trailers",
    requestOf({}, "te", "trailers, chunked"),
    /te: "trailers, chunked"/,
  ],
  [
    "H2.CL twice, differing",
    requestOf({}, "content-length", "4", "content-length", "5"),
    /than one/,
  ],
  ["H2.CL twice, equal", requestOf({}, "content-length", "4", "content-length", "4"), /than one/],
  [
    "H2.CL twice, one of 0",
    requestOf({}, "content-length", "0", "content-length", "0"),
    /than one/,
  ],
  ["H2.CL as a list", requestOf({}, "content-length", "4, 4"), /content-length "4, 4"/],
  ["H2.CL with a sign", requestOf({}, "content-length", "+4"), /content-length "\+4"/],
  ["H2.CL in hexadecimal", requestOf({}, "content-length", "0x4"), /content-length "0x4"/],
  ["H2.CL empty", requestOf({}, "content-length", ""), /content-length ""/],
  ["H2.CL of 2^64 + 5", requestOf({}, "content-length", "18446744073709551621"), /content-length/],
  ["H2.CL with white space", requestOf({}, "content-length", " 4"), /" 4" of content-length/],
  ["H2.CL in upper case", requestOf({}, "Content-Length", "4"), /field name/],
];

const HOPS: Row[] = [
  ["connection", requestOf({}, "connection", "close"), /connection/],
  ["connection that names a field", requestOf({}, "connection", "content-length"), /connection/],
  ["keep-alive", requestOf({}, "keep-alive", "timeout=5"), /keep-alive/],
  ["proxy-connection", requestOf({}, "proxy-connection", "close"), /proxy-connection/],
  ["upgrade to websocket without CONNECT", requestOf({}, "upgrade", "websocket"), /upgrade/],
  ["h2c by upgrade", requestOf({}, "upgrade", "h2c", "http2-settings", "AAMAAABk"), /upgrade/],
];

const NAMES: Row[] = [
  ["a colon in a name", requestOf({}, "x: y", "z"), /field name "x: y"/],
  ["a colon at the end of a name", requestOf({}, "transfer-encoding:", "chunked"), /field name/],
  ["a name that holds a whole line", requestOf({}, `x: y\r\n${CHUNKED}`, "z"), /field name/],
  ["a line before the name", requestOf({}, `${CHUNKED}\r\nx`, "z"), /field name/],
  ["a head's end before the name", requestOf({}, `\r\n${SMUGGLED}x`, "z"), /field name/],
  ["an empty name", requestOf({}, "", "z"), /field name ""/],
  ["a space before a name", requestOf({}, " x", "z"), /field name/],
  ["NUL in a name", requestOf({}, "x\0", "z"), /field name/],
  ["a no-break space in a name", requestOf({}, "x\xa0", "z"), /field name/],
  ["one letter in upper case", requestOf({}, "x-A", "z"), /field name/],
];

const PSEUDO: Row[] = [
  ["a request line in :method", requestOf({ ":method": "GET /b HTTP/1.1\r\nX: " }), /:method/],
  ["a whole request in :method", requestOf({ ":method": `${SMUGGLED}GET` }), /:method/],
  ["a space in :method", requestOf({ ":method": "GET /admin" }), /:method "GET \/admin"/],
  ["a space at the end of :method", requestOf({ ":method": "GET " }), /:method/],
  ["an empty :method", requestOf({ ":method": "" }), /empty ":method"/],
  ["a whole head in :path", requestOf({ ":path": "/ HTTP/1.1\r\nHost: b\r\nX: " }), /:path/],
  ["a space in :path", requestOf({ ":path": "/ HTTP/1.1" }), /:path/],
  ["LF in :path", requestOf({ ":path": "/a\nX: y" }), /:path/],
  ["a fragment in :path", requestOf({ ":path": "/a#b" }), /:path/],
  ["bytes beyond ASCII in :path", requestOf({ ":path": "/\xe9" }), /:path/],
  ["an absolute :path", requestOf({ ":path": "http://inside/" }), /:path/],
  ["a :path without a slash", requestOf({ ":path": "@inside/" }), /:path/],
  ["a :path that only queries", requestOf({ ":path": "?a" }), /:path/],
  ["an empty :path", requestOf({ ":path": "" }), /empty ":path"/],
  ["the :path * of another method", requestOf({ ":path": "*" }), /:path "\*"/],
  ["a URL in :scheme", requestOf({ ":scheme": "http://inside/admin?" }), /:scheme/],
  ["a line in :scheme", requestOf({ ":scheme": "http\r\nX: y" }), /:scheme/],
  ["a scheme that is not HTTP's", requestOf({ ":scheme": "file" }), /:scheme "file"/],
  ["a line in :authority", requestOf({ ":authority": "a\r\nX: y" }), /:authority/],
  ["user info in :authority", requestOf({ ":authority": "a@b" }), /:authority "a@b"/],
  ["a path in :authority", requestOf({ ":authority": "a/b" }), /:authority "a\/b"/],
  ["a list in :authority", requestOf({ ":authority": "a, b" }), /:authority/],
  ["white space around :authority", requestOf({ ":authority": " a" }), /:authority/],
  ["a bad port in :authority", requestOf({ ":authority": "a:+80" }), /:authority/],
  ["an empty :authority", requestOf({ ":authority": "" }), /empty ":authority"/],
];

const HOSTS: Row[] = [
  ["another host than :authority", requestOf({}, "host", "inside"), /besides the :authority/],
  ["another port than :authority", requestOf({}, "host", "shop:81"), /besides the :authority/],
  ["another scheme's port", requestOf({ ":authority": "a:443" }, "host", "a"), /besides/],
  ["two hosts, equal", requestOf({}, "host", "shop:8080", "host", "shop:8080"), /than one host/],
  [
    "two hosts for no :authority",
    requestOf({ ":authority": null }, "host", "a", "host", "b"),
    /than one/,
  ],
  ["a line in host", requestOf({ ":authority": null }, "host", "a\r\nX: y"), /the host "a/],
  ["user info in host", requestOf({ ":authority": null }, "host", "a@b"), /the host "a@b"/],
  ["an empty host", requestOf({}, "host", ""), /empty host/],
];

const ORDER: Row[] = [
  ["no :method", requestOf({ ":method": null }), /no :method/],
  ["no :scheme", requestOf({ ":scheme": null }), /no :scheme/],
  ["no :path", requestOf({ ":path": null }), /no :path/],
  ["two :method", requestOf({}, ":method", "GET"), /more than one :method/],
  ["two :path, equal", requestOf({}, ":path", "/a"), /more than one :path/],
  ["two :authority", requestOf({}, ":authority", "inside"), /more than one :authority/],
  ["two :scheme", requestOf({}, ":scheme", "http"), /more than one :scheme/],
  [":path behind a field", requestOf({ ":path": null }, "x", "y", ":path", "/"), /no :path/],
  [
    ":method again behind a field",
    requestOf({}, "x", "y", ":method", "GET"),
    /":method" where none/,
  ],
  ["a pseudo-field that nobody knows", requestOf({}, ":host", "a"), /pseudo-field ":host"/],
  ["a pseudo-field in upper case", requestOf({}, ":Path", "/b"), /pseudo-field ":Path"/],
  ["a nameless pseudo-field", requestOf({}, ":", "/b"), /pseudo-field ":"/],
  [":status in a request", requestOf({}, ":status", "200"), /pseudo-field ":status"/],
];

const websocket = (changes: Record<string, string | null> = {}, ...more: string[]) =>
  requestOf({ ":method": "CONNECT", ":protocol": "websocket", ...changes }, ...more);
const tunnel = (changes: Record<string, string | null> = {}, ...more: string[]) =>
  requestOf({ ":method": "CONNECT", ":scheme": null, ":path": null, ...changes }, ...more);

const CONNECTS: Row[] = [
  ["CONNECT with :path", tunnel({ ":path": "/" }), /:scheme or :path in CONNECT/],
  ["CONNECT with :scheme", tunnel({ ":scheme": "http" }), /:scheme or :path in CONNECT/],
  [
    "CONNECT without :authority",
    tunnel({ ":authority": null }, "host", "a:1"),
    /host:port, not ""/,
  ],
  ["CONNECT without a port", tunnel({ ":authority": "a" }), /host:port, not "a"/],
  ["CONNECT to another host than Host", tunnel({}, "host", "b:1"), /besides/],
  ["a line in the target of CONNECT", tunnel({ ":authority": "a\r\nX: y:1" }), /host:port/],
  ["a length of CONNECT", tunnel({}, "content-length", "5"), /content-length in CONNECT/],
  ["a length of 0 of CONNECT", tunnel({}, "content-length", "0"), /content-length in CONNECT/],
  [":protocol without CONNECT", websocket({ ":method": "GET" }), /:protocol without CONNECT/],
  [":protocol without :path", websocket({ ":path": null }), /no :path/],
  [":protocol without :scheme", websocket({ ":scheme": null }), /no :scheme/],
  ["a line in :protocol", websocket({ ":protocol": "websocket\r\nX: y" }), /:protocol "websocket/],
  ["a length of an extended CONNECT", websocket({}, "content-length", "5"), /length in CONNECT/],
];

describe("a request that HTTP/1.1 would read differently is malformed", () => {
  for (const rows of [LENGTHS, HOPS, NAMES, PSEUDO, HOSTS, ORDER, CONNECTS]) {
    for (const [attack, fields, names] of rows) {
      it(attack, () => {
        assert.match(checkRequestFields(fields, RULES) ?? "it passes", names);
        assert.equal(meshErrorOf(() => requestHeadOf(fields, false)).code, "BAD_REQUEST");
      });
    }
  }

  for (const end of ENDS) {
    for (const [place, of] of [
      ["begin", (text: string) => `${end}${text}`],
      ["middle", (text: string) => `b${end}${text}`],
      ["end", (text: string) => `${text}${end}`],
    ] as const) {
      it(`${JSON.stringify(end)} at the ${place} of a value`, () => {
        for (const value of [of(CHUNKED), of("x: y"), of(`\r\n${SMUGGLED}`), of("")]) {
          for (const name of ["x", "cookie", "content-type", "te", "expect", "x-request-id"]) {
            const fields = requestOf({}, "a", "b", name, value, "c", "d");
            const fault = checkRequestFields(fields, RULES);
            assert.notEqual(fault, null, name);
            assert.ok(meshErrorOf(() => requestHeadOf(fields, false)) instanceof MeshError);
          }
        }
      });
    }
  }

  it("white space around a value", () => {
    for (const value of [" a", "a ", "\ta", "a\t", " ", "\t"]) {
      assert.match(checkRequestFields(requestOf({}, "x", value), RULES) ?? "", /value .* of x/);
    }
  });

  it(":protocol where SETTINGS_ENABLE_CONNECT_PROTOCOL was not sent", () => {
    const fault = checkRequestFields(websocket(), { connectProtocol: false });
    assert.match(fault ?? "", /pseudo-field ":protocol"/);
  });

  it("a field more than a pattern is made for, with a line in the last value", () => {
    const many = Array.from({ length: 300 }, (_, at) => [`x-${at}`, "y"]).flat();
    assert.equal(checkRequestFields(requestOf({}, ...many), RULES), null);
    many[many.length - 1] = "y\r\nX: z";
    assert.match(checkRequestFields(requestOf({}, ...many), RULES) ?? "", /value .* of x-299/);
  });
});

describe("a request that HTTP/1.1 refuses is refused with its error", () => {
  const rows: (readonly [string, string[], boolean, MeshErrorCode])[] = [
    ["H2.CL: a length, and no content", requestOf({}, "content-length", "5"), true, "BAD_REQUEST"],
    ["a backslash in the path", requestOf({ ":path": "/a\\b" }), true, "BAD_REQUEST"],
    ["half an escape in the path", requestOf({ ":path": "/%4" }), true, "BAD_REQUEST"],
    ["an escaped NUL in the path", requestOf({ ":path": "/%00" }), true, "BAD_REQUEST"],
    ["neither :authority nor host", requestOf({ ":authority": null }), true, "BAD_REQUEST"],
    ["another expectation", requestOf({}, "expect", "x"), false, "EXPECTATION_FAILED"],
    ["another :protocol", websocket({ ":protocol": "connect-udp" }), false, "NOT_IMPLEMENTED"],
  ];
  for (const [attack, fields, last, code] of rows) {
    it(attack, () => {
      assert.equal(checkRequestFields(fields, RULES), null);
      assert.equal(meshErrorOf(() => requestHeadOf(fields, last)).code, code);
    });
  }
});

describe("what is left of an attack is one request with the same meaning", () => {
  it("H2.CL: the length that was checked is the only framing", () => {
    const head = translated(requestOf({}, "content-length", "0"));
    assert.equal(head.framing, "length");
    assert.equal(head.contentLength, 0);
  });

  it("a request in a header's place does not get loose", () => {
    const head = translated(requestOf({}, "x", "GET /admin HTTP/1.1", "y", "Host: b"));
    assert.equal(head.passed, "x: GET /admin HTTP/1.1\r\ny: Host: b\r\n");
  });

  it("names that only look like framing stay what they are", () => {
    const more = ["content_length", "5", "transfer_encoding", "chunked", "xtransfer-encoding", "a"];
    const head = translated(requestOf({}, ...more));
    assert.equal(head.framing, "chunked");
    assert.equal(head.contentLength, -1);
  });

  it("the path may hold every visible character", () => {
    const path = '//b/%41?<a>["b"]{c}|^`&%zz\\';
    assert.equal(translated(requestOf({ ":path": path })).path, path);
  });

  it("a host that says the same is sent once", () => {
    for (const [authority, host, scheme] of [
      ["shop", "SHOP", "http"],
      ["shop:80", "shop", "http"],
      ["Shop", "shop:443", "HTTPS"],
      ["[::1]:8080", "[::1]:8080", "http"],
    ] as const) {
      const head = translated(
        requestOf({ ":authority": authority, ":scheme": scheme }, "host", host),
      );
      assert.equal(head.authority, authority);
    }
  });

  it("a certificate's field that the client made up goes no further", () => {
    for (const name of ["x-forwarded-client-cert", "x_forwarded_client_cert"]) {
      assert.equal(translated(requestOf({}, name, "By=spiffe://a")).passed, "");
    }
  });

  it("the key of a WebSocket is left to whoever opens one", () => {
    const head = translated(websocket({}, "sec-websocket-key", "a", "sec-websocket-version", "13"));
    assert.equal(head.passed, "sec-websocket-version: 13\r\n");
  });
});
