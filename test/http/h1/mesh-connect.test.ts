import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  MESH_HEAD_LIMITS,
  type MeshConnect,
  meshRefusalReason,
  readMeshConnect,
  writeMeshConnect,
  writeMeshRefusal,
} from "../../../src/http/h1/mesh-connect.ts";
import { parseRequestHead, parseResponseHead } from "../../../src/http/h1/parser.ts";

const read = (text: string) => readMeshConnect(parseRequestHead(text, MESH_HEAD_LIMITS));

describe("the CONNECT between hosts", () => {
  it("is read as it was written", () => {
    const asked: MeshConnect[] = [
      { authority: { host: "10.0.0.1", port: 80 }, protocol: "tcp", client: "10.0.0.9" },
      { authority: { host: "2001:db8::1", port: 65_535 }, protocol: "http/1.1", client: "fd00::1" },
      { authority: { host: "10.0.0.1", port: 80 }, protocol: "http/1.1", client: "" },
    ];
    for (const one of asked) assert.deepEqual(read(writeMeshConnect(one)), one);
  });

  it("has one spelling of each address", () => {
    const place = "[2001:DB8:0::1]:80";
    const head = `CONNECT ${place} HTTP/1.1\r\nHost: ${place}\r\nX-Hostmesh-Protocol: tcp\r\nForwarded: for="[::ffff:10.0.0.9]"\r\n\r\n`;
    assert.deepEqual(read(head), {
      ...{ authority: { host: "2001:db8::1", port: 80 }, protocol: "tcp", client: "10.0.0.9" },
    });
  });

  it("is refused with a reason that cannot break the answer", () => {
    const text = writeMeshRefusal(403, `no\r\nx: y\u00e9 ${"long ".repeat(100)}`);
    const head = parseResponseHead(text, "CONNECT", MESH_HEAD_LIMITS);
    assert.equal(head.status, 403);
    assert.match(meshRefusalReason(head.fields), /^no\?\?x: y\? long/);
    assert.ok(meshRefusalReason(head.fields).length <= 200);
  });
});
