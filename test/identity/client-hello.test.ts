import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { describe, it } from "node:test";
import { connect } from "node:tls";
import { readClientHello } from "../../src/identity/client-hello.ts";

/** The first bytes that Node's own client sends. */
async function realHello(servername: string): Promise<Buffer> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const client = connect({ port, host: "127.0.0.1", servername, ALPNProtocols: ["hostmesh/1"] });
  client.on("error", () => {});
  const [socket] = await once(server, "connection");
  const [bytes] = (await once(socket, "data")) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}

describe("a ClientHello", () => {
  it("tells the name that it asks for, and is not read before it is whole", async () => {
    const bytes = await realHello("Abc.Hostmesh");
    assert.deepEqual(readClientHello(bytes), { serverName: "abc.hostmesh" });
    assert.deepEqual(readClientHello(Buffer.concat([bytes, Buffer.from("more")])), {
      serverName: "abc.hostmesh",
    });
    for (let size = 0; size < bytes.length; size++) {
      assert.equal(readClientHello(bytes.subarray(0, size)), "incomplete", `${size} bytes`);
    }
  });

  it("may ask for no name", async () => {
    assert.deepEqual(readClientHello(await realHello("")), { serverName: "" });
  });

  it("is refused where its lengths contradict each other, and never read beyond its end", async () => {
    const bytes = await realHello("abc.hostmesh");
    let malformed = 0;
    for (let at = 0; at < bytes.length; at++) {
      for (const value of [0, 1, 0x7f, 0xff]) {
        const spoiled = Buffer.from(bytes);
        spoiled[at] = value;
        const hello = readClientHello(spoiled);
        if (hello === "malformed") malformed += 1;
        else if (hello !== "incomplete") assert.equal(typeof hello.serverName, "string");
      }
    }
    assert.ok(malformed > 50, `${malformed} were refused`);
  });

  it("is refused with two names, or a name of another type", async () => {
    const bytes = await realHello("abc.hostmesh");
    const name = bytes.indexOf("abc.hostmesh");
    const otherType = Buffer.from(bytes);
    otherType[name - 3] = 1;
    assert.equal(readClientHello(otherType), "malformed");
    // Another extension of the same size cannot be made here: the type of one is turned into server_name.
    const extended = bytes.indexOf(Buffer.from([0, 23, 0, 0]));
    assert.ok(extended > 0, "extended_master_secret is there, and empty");
    const twice = Buffer.from(bytes);
    twice[extended + 1] = 0;
    assert.equal(readClientHello(twice), "malformed");
  });

  it("is told apart from everything else by its first bytes", () => {
    for (const text of ["GET / HTTP/1.1\r\n", "\x16\x02", "\x15\x03", "\x16\x03\x01\x00\x10\x02"]) {
      assert.equal(readClientHello(Buffer.from(text, "latin1")), "malformed", text);
    }
  });
});
