import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { after, describe, it } from "node:test";
import type { AppProtocol } from "../../src/core/model.ts";
import { closeEndpoints } from "../helpers/h2-endpoints.ts";
import { settings } from "../helpers/h2-lab.ts";
import { Http2Client, peer } from "../helpers/h2-peers.ts";
import { endpoint, planeLab, service } from "../helpers/plane.ts";
import { ask } from "../helpers/route-lab.ts";
import { until } from "../helpers/until.ts";

const closers: (() => Promise<void> | void)[] = [];
after(async () => {
  for (const close of closers.reverse()) await close();
  closeEndpoints();
});

async function through(port: number, protocol?: AppProtocol) {
  const lab = await planeLab();
  const declared = protocol === undefined ? {} : { protocol };
  lab.services(service("web", [endpoint(port)], declared));
  closers.push(() => lab.close());
  return lab;
}

/** A server that does this with each connection. */
async function server(onSocket: (socket: Socket) => void): Promise<number> {
  const listener = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    socket.on("error", () => undefined);
    closers.push(() => void socket.destroy());
    onSocket(socket);
  }).listen(0, "127.0.0.1");
  await once(listener, "listening");
  closers.push(() => void listener.close());
  return (listener.address() as AddressInfo).port;
}

const HTTP2 =
  /^hostmesh: UPSTREAM_PROTOCOL: .*: 127\.0\.0\.1:\d+ seems to speak HTTP\/2, and was spoken to in HTTP\/1\.1: declare http2 or grpc by the port's appProtocol or by hostmesh-protocol\n$/;
const HTTP1 =
  /^hostmesh: UPSTREAM_PROTOCOL: .*: 127\.0\.0\.1:\d+ seems to speak HTTP\/1\.1, and was spoken to in HTTP\/2: declare http by the port's appProtocol or by hostmesh-protocol\n$/;

describe("an endpoint that speaks the other version of HTTP", () => {
  for (const protocol of [undefined, "http"] as const) {
    it(`HTTP/2, where ${protocol ?? "nothing"} is declared: the client of HTTP/1.1 reads what is to be done`, async () => {
      const far = await peer(2, (_request, response) => void response.end("never"));
      closers.push(() => far.close());
      const lab = await through(far.port, protocol);
      for (const method of ["GET", "POST"]) {
        const { status, body } = await ask(lab.port, "/", { method });
        assert.equal(status, 502);
        assert.match(body, HTTP2);
      }
    });
  }

  it("HTTP/2, whose SETTINGS come octet by octet", async () => {
    const port = await server((socket) => {
      void (async () => {
        for (const byte of settings([3, 100], [4, 65_535])) {
          socket.write(Buffer.of(byte));
          await new Promise(setImmediate);
        }
      })();
    });
    const lab = await through(port, "http");
    const { status, body } = await ask(lab.port, "/");
    assert.equal(status, 502);
    assert.match(body, HTTP2);
  });

  it("is not meant by other bytes that no head begins with", async () => {
    for (const bytes of ["\0\0\x10\x07\0\0\0\0\0", "\0\0\x0c\x04\0\0\0\0\x01", "\x01\0\0\x04\0"]) {
      const port = await server((socket) => void socket.end(Buffer.from(bytes, "latin1")));
      const lab = await through(port, "http");
      const { status, body } = await ask(lab.port, "/");
      assert.equal(status, 502);
      assert.match(body, /the control character/);
    }
  });

  for (const protocol of [undefined, "http2", "grpc"] as const) {
    it(`HTTP/1.1, where ${protocol ?? "nothing"} is declared: the client of HTTP/2 reads what is to be done`, async () => {
      const far = await peer(1, (_request, response) => void response.end("never"));
      closers.push(() => far.close());
      const lab = await through(far.port, protocol);
      const client = new Http2Client(lab.port);
      closers.push(() => client.close());
      const { status, body } = await client.ask({ ":path": "/", ":authority": "web" });
      assert.equal(status, 502);
      assert.match(body.toString(), HTTP1);
    });
  }

  it("HTTP/1.1, whose answer comes octet by octet", async () => {
    const port = await server((socket) => {
      void (async () => {
        for (const byte of Buffer.from("HTTP/1.1 505 No\r\nConnection: close\r\n\r\n")) {
          socket.write(Buffer.of(byte));
          await new Promise(setImmediate);
        }
      })();
    });
    const lab = await through(port, "http2");
    const { status, body } = await ask(lab.port, "/");
    assert.equal(status, 502);
    assert.match(body, HTTP1);
    await until(() => lab.facts.length === 1);
    assert.equal(lab.facts[0]?.error, "UPSTREAM_PROTOCOL");
  });

  it("is not meant by a frame that is merely too long", async () => {
    const port = await server((socket) => void socket.end("HTTQ/1.1 "));
    const lab = await through(port, "http2");
    const { body } = await ask(lab.port, "/");
    assert.match(body, /does not speak HTTP\/2, FRAME_SIZE_ERROR: a frame of 4740180 bytes/);
  });
});
