import assert from "node:assert/strict";
import { test } from "node:test";
import { ChunkedDecoder } from "../../../src/http/h1/chunked.ts";
import { checkTrailers } from "../../../src/http/h2/field-rules.ts";
import { passedTrailers, trailerFieldsOf, trailerLines } from "../../../src/http/h2/trailers.ts";
import { latin1 } from "../../helpers/heads.ts";

/** Is this the end of a chunked body, and nothing behind it? */
function endsBody(lines: string): boolean {
  const decoder = new ChunkedDecoder({ trailerBytes: 10_000, headerCount: 100 }, "response");
  const bytes = latin1(`0\r\n${lines}\r\n`);
  return decoder.feed(bytes, 0, bytes.length) === bytes.length && decoder.done;
}

test("passes trailers both ways", () => {
  const fields = ["grpc-status", "0", "grpc-message", "", "x-a", "\xe9"];
  assert.equal(checkTrailers(fields), null);
  assert.equal(trailerLines(fields), "grpc-status: 0\r\ngrpc-message: \r\nx-a: \xe9\r\n");
  assert.ok(endsBody(trailerLines(fields)));
  assert.deepEqual(trailerFieldsOf("Grpc-Status: 0\r\nGRPC-Message:\r\nX-A:\xe9 \r\n"), fields);
  assert.equal(trailerLines([]), "");
  assert.deepEqual(trailerFieldsOf(""), []);
});

test("takes identities out that only the proxy may tell, however they are spelt", () => {
  const fields = ["x-forwarded-client-cert", "a", "x_forwarded_client_cert", "b", "x", "y"];
  assert.equal(trailerLines(fields), "x: y\r\n");
  assert.deepEqual(trailerFieldsOf("X_Forwarded-Client_Cert: a\r\nX: y\r\n"), ["x", "y"]);
});

test("takes out what must not come behind content", () => {
  const fields = ["content-length", "5", "x", "y", "host", "b", "authorization", "c", "host", "d"];
  assert.equal(checkTrailers(fields), null);
  assert.equal(trailerLines(fields), "x: y\r\n");
  assert.deepEqual(passedTrailers(fields), ["x", "y"]);
  assert.deepEqual(trailerFieldsOf("Content-Length: 5\r\nX: y\r\nTransfer-Encoding: a\r\n"), [
    "x",
    "y",
  ]);
});

test("hands on the very list where all of it may pass", () => {
  const fields = ["x", "host"];
  assert.equal(passedTrailers(fields), fields);
});

for (const [attack, fields, names] of [
  ["a pseudo-field", [":status", "200"], /":status" where none/],
  ["a pseudo-field behind others", ["x", "y", ":path", "/"], /":path" where none/],
  ["transfer-encoding", ["transfer-encoding", "chunked"], /transfer-encoding/],
  ["connection", ["connection", "close"], /connection/],
  ["te", ["te", "trailers"], /te/],
  ["upgrade", ["upgrade", "h2c"], /upgrade/],
  ["the end of the body in a value", ["x", "y\r\n\r\nGET /admin HTTP/1.1\r\n"], /value .* of x/],
  ["a line in a name", ["x: y\r\nz", "a"], /field name/],
  ["LF in a value", ["x", "y\nz: a"], /value .* of x/],
  ["NUL in a value", ["x", "y\0"], /value .* of x/],
  ["white space before a value", ["x", " y"], /value .* of x/],
  ["upper case", ["X", "y"], /field name "X"/],
] as const) {
  test(`finds trailers malformed with ${attack}`, () => {
    assert.match(checkTrailers(fields) ?? "it passes", names);
  });
}
