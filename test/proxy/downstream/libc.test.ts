import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { after, describe, test } from "node:test";
import { localAddressSource, redirectSource } from "../../../src/proxy/downstream/destination.ts";
import {
  boundAddress,
  closeFd,
  duplicateFd,
  openListener,
} from "../../../src/proxy/downstream/libc.ts";

const skip = process.platform === "linux" ? false : "needs Linux";

describe("listening sockets through libc", { skip }, () => {
  const opened: number[] = [];
  const open = (address: string, port = 0): number => {
    const fd = openListener({ address, port, transparent: false, backlog: 16 });
    opened.push(fd);
    return fd;
  };
  after(() => {
    for (const fd of opened) closeFd(fd);
  });

  test("several share one port, and a duplicate keeps the socket alive", async () => {
    const first = open("127.0.0.1");
    const { port } = boundAddress(first);
    assert.ok(port > 0);
    assert.deepEqual(boundAddress(open("127.0.0.1", port)), { host: "127.0.0.1", port });
    const copy = duplicateFd(first);
    closeFd(copy);
    assert.equal(boundAddress(first).port, port);
  });

  test("`::` takes both families, and the destination is the local address in one spelling", async () => {
    const fd = open("::");
    const { port } = boundAddress(fd);
    const server = createServer().listen({ fd: duplicateFd(fd), backlog: 16 });
    await once(server, "listening");
    for (const host of ["127.0.0.1", "::1"]) {
      const client = connect(port, host);
      const [socket]: Socket[] = await once(server, "connection");
      assert.deepEqual(localAddressSource.of(socket!), { host, port });
      client.destroy();
      socket!.destroy();
      await once(socket!, "close");
      assert.equal(redirectSource.of(socket!), null);
    }
    server.close();
  });

  test("a failure names socket, call and error", () => {
    assert.throws(() => open("203.0.113.1", 1), /203\.0\.113\.1:1: bind failed with EADDRNOTAVAIL/);
    assert.throws(() => open("nonsense"), /"nonsense" is no address/);
    assert.throws(() => boundAddress(-1), /EBADF/);
  });

  test("a port of a socket without SO_REUSEPORT is refused", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    assert.ok(address !== null && typeof address === "object");
    assert.throws(() => open("127.0.0.1", address.port), /EADDRINUSE/);
    server.close();
  });

  test("a connection that was not captured has no original destination", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    assert.ok(address !== null && typeof address === "object");
    const client = connect(address.port, "127.0.0.1");
    const [socket]: Socket[] = await once(server, "connection");
    const seen = redirectSource.of(socket!);
    // Where conntrack is awake on this machine it knows the connection, unchanged.
    assert.ok(seen === null || seen.port === address.port);
    client.destroy();
    server.close();
  });
});
