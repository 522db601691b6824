import assert from "node:assert/strict";
import { test } from "node:test";
import { MeshError } from "../../src/core/errors.ts";
import { judgedStatus } from "../../src/core/grpc.ts";
import { grpcStatusBehind, grpcStatusIn, grpcStatusOf } from "../../src/proxy/grpc.ts";

const behind = (text: string): number => {
  const bytes = Buffer.from(`..${text}..`, "latin1");
  return grpcStatusBehind(bytes, 2, bytes.length - 2);
};

test("the status of a call is read from its trailers, and from nothing else", () => {
  assert.equal(behind("0\r\ngrpc-status: 14\r\ngrpc-message: x\r\n\r\n"), 14);
  assert.equal(behind("3\r\nabc\r\n0\r\na: b\r\nGrpc-Status:0\r\n\r\n"), 0);
  assert.equal(behind("3\r\nabc\r\n0\r\n\r\n"), -1);
  assert.equal(behind("0\r\ngrpc-status: soon\r\n\r\n"), 2, "UNKNOWN");
  assert.equal(behind(""), -1);
  const content = "a\r\n0\r\ngrpc-status: 14\r\n\r\n";
  const chunk = `${content.length.toString(16)}\r\n${content}\r\n`;
  assert.equal(behind(`${chunk}0\r\ngrpc-status: 0\r\n\r\n`), 0, "what an application sends");
  assert.equal(behind(`${chunk}0\r\n\r\n`), -1);
});

test("a status that is no number is UNKNOWN, and none is none", () => {
  assert.equal(grpcStatusIn(["grpc-status", "5"]), 5);
  assert.equal(grpcStatusIn(["grpc-status", "x"]), 2);
  assert.equal(grpcStatusIn(["grpc-message", "5"]), -1);
});

test("a call counts as what its status means in HTTP", () => {
  const expected = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503];
  for (const [code, http] of expected.entries()) assert.equal(judgedStatus(200, code), http);
  assert.equal(judgedStatus(200, 99), 500);
  assert.equal(judgedStatus(503, -1), 503, "it never came to a status of gRPC");
});

test("failures of the mesh are statuses of gRPC", () => {
  for (const [code, status] of [
    ["CONNECT_TIMEOUT", 4],
    ["REQUEST_TIMEOUT", 4],
    ["UPSTREAM_RESET", 14],
    ["RATE_LIMITED", 14],
    ["TOKEN_INVALID", 16],
    ["ACCESS_DENIED", 7],
    ["BAD_REQUEST", 13],
    ["NO_ROUTE", 12],
    ["INTERNAL", 2],
  ] as const) {
    assert.equal(grpcStatusOf(new MeshError(code, "")), status, code);
  }
});
