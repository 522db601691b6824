import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Share } from "../../../src/core/share.ts";
import type { Stream } from "../../../src/http/h2/stream.ts";
import { StreamCarrier } from "../../../src/http/h2/stream-carrier.ts";
import { ConnProbe } from "../../helpers/conn-pair.ts";

/** A tunnel of which all was received that a test gives it. */
function tunnel() {
  const stream = {
    ...{ isOver: false, queuedBytes: 0, unreadBytes: 0, share: null as Share | null },
    consumed(bytes: number): void {
      stream.unreadBytes -= bytes;
    },
    sendData: () => true,
  };
  const carrier = new StreamCarrier(null);
  const probe = new ConnProbe();
  carrier.bind(stream as unknown as Stream);
  carrier.handler = probe;
  carrier.beginTunnel();
  const receive = (text: string, last = false): void => {
    const bytes = Buffer.from(text);
    stream.unreadBytes += bytes.length;
    carrier.onData(bytes, 0, bytes.length, last);
    bytes.fill("?");
  };
  return { carrier, probe, stream, receive };
}

describe("a tunnel by a stream", () => {
  it("keeps what comes while reading is stopped, and hands it over in order", () => {
    const { carrier, probe, stream, receive } = tunnel();
    receive("a");
    carrier.stopReading();
    receive("b");
    receive("c", true);
    assert.deepEqual([probe.text, probe.fins], ["a", 0]);
    assert.equal(stream.unreadBytes, 2, "the peer is given no room for more");
    carrier.resumeReading();
    assert.deepEqual([probe.text, probe.fins], ["abc", 1]);
    assert.equal(stream.unreadBytes, 0);
  });

  it("hands over no more than until it is stopped again", () => {
    const { carrier, probe, receive } = tunnel();
    carrier.stopReading();
    for (const text of ["a", "b", "c"]) receive(text);
    carrier.onTrailers();
    probe.take = (chunk, end) => {
      probe.text += chunk.toString("latin1", 0, end);
      if (probe.text === "ab") carrier.stopReading();
    };
    carrier.resumeReading();
    assert.deepEqual([probe.text, probe.fins], ["ab", 0]);
    carrier.resumeReading();
    assert.deepEqual([probe.text, probe.fins], ["abc", 1]);
  });

  it("counts what waits on whoever it belongs to, also where that is known late", () => {
    const { carrier, stream } = tunnel();
    const share = {} as Share;
    carrier.share = share;
    assert.equal(stream.share, share);
    assert.equal(carrier.share, share);
  });
});
