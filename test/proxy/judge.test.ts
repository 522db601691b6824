import assert from "node:assert/strict";
import { test } from "node:test";
import type { Conn } from "../../src/http/conn.ts";
import { type Grounds, judge } from "../../src/proxy/judge.ts";
import { OwnPlaces } from "../../src/proxy/own-places.ts";

/** As much of a connection as is judged: where it has led. */
function ledTo(remoteAddress: string, remotePort = 80, localAddress = "10.0.0.1"): Conn {
  return { socket: { remoteAddress, remotePort, localAddress } } as unknown as Conn;
}

function grounds(guarded: readonly string[] = [], guards = true): Grounds {
  const recorder = { event: () => undefined } as unknown as Grounds["recorder"];
  const own = new OwnPlaces(["10.0.0.1"], [4_140]);
  return { own, recorder, guards, isGuarded: (address) => guarded.includes(address) };
}

const asked = (host: string, client = "10.1.0.9") => ({ host, client });
const codeOf = (...args: Parameters<typeof judge>) => judge(...args)?.code ?? null;

test("a name that leads to a guarded workload is refused; its address was judged when it was asked for", () => {
  const guarded = grounds(["10.1.0.5"]);
  assert.equal(codeOf(ledTo("10.1.0.5"), asked("shop.example"), guarded), "FORBIDDEN_DESTINATION");
  assert.equal(codeOf(ledTo("::ffff:10.1.0.5"), asked("a.b"), guarded), "FORBIDDEN_DESTINATION");
  assert.equal(codeOf(ledTo("10.1.0.5"), asked("10.1.0.5"), guarded), null);
  assert.equal(codeOf(ledTo("10.1.0.6"), asked("shop.example"), guarded), null);
  assert.equal(codeOf(ledTo("10.1.0.5"), null, guarded), null, "an endpoint of the mesh");
});

test("nothing leads back to the proxy, and no container to the host's own addresses", () => {
  assert.equal(codeOf(ledTo("10.0.0.1", 4_140), asked("me.example"), grounds()), "LOOP");
  assert.equal(codeOf(ledTo("10.0.0.1"), asked("me.example"), grounds()), "FORBIDDEN_DESTINATION");
  assert.equal(codeOf(ledTo("10.0.0.1"), asked("me.example"), grounds([], false)), null);
  const loopback = ledTo("127.0.0.1", 80, "127.0.0.1");
  assert.equal(codeOf(loopback, asked("me.example"), grounds([], false)), "FORBIDDEN_DESTINATION");
  assert.equal(codeOf(loopback, asked("me.example", "127.0.0.1"), grounds()), null);
});
