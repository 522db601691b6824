import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import {
  CANCEL,
  FRAME_PING,
  FRAME_PRIORITY,
  FRAME_RST_STREAM,
  FRAME_SIZE_ERROR,
  FRAME_WINDOW_UPDATE,
} from "../../../src/http/h2/codes.ts";
import { frame } from "../../helpers/h2-frames.ts";
import {
  closeLabs,
  data,
  FramePeer,
  get,
  headers,
  post,
  serverLab,
  word,
} from "../../helpers/h2-lab.ts";
import { until } from "../../helpers/until.ts";

afterEach(closeLabs);

const reset = (id: number, code: number) => frame(FRAME_RST_STREAM, 0, id, word(code));
/** PRIORITY of a size that is an error of its stream (RFC 9113 section 6.3). */
const badPriority = (id: number) => frame(FRAME_PRIORITY, 0, id, "1234");

async function opened() {
  const lab = await serverLab({ onExchange: () => undefined });
  const peer = await FramePeer.greet(lab.port, headers(1, post(), false));
  await until(() => lab.exchanges.length === 1);
  const settle = async () => {
    peer.send(frame(FRAME_PING, 0, 0, "settled!"));
    await peer.until(/^ping ack settled!/);
  };
  const resets = () => peer.lines.filter((line) => line.startsWith("reset"));
  return { lab, peer, settle, resets };
}

/** What a peer may have sent before it knew of the end, or against the rules. */
const late = (): Buffer[] => [
  data(1, "late"),
  frame(FRAME_WINDOW_UPDATE, 0, 1, word(10)),
  badPriority(1),
  reset(1, CANCEL),
  badPriority(1),
  reset(1, CANCEL),
];

describe("a stream that is over is not reset anew (RFC 9113 section 5.1)", () => {
  it("where we have reset it", async () => {
    const { lab, peer, settle, resets } = await opened();
    lab.exchanges[0]?.stream.reset(CANCEL);
    await peer.until(/^reset 1/);
    peer.send(...late());
    await settle();
    assert.deepEqual(resets(), [`reset 1 ${CANCEL}`]);
    assert.deepEqual(lab.exchanges[0]?.resets, [], "its owner hears nothing of what came late");
  });

  it("where its peer has reset it", async () => {
    const { lab, peer, settle, resets } = await opened();
    peer.send(reset(1, CANCEL), badPriority(1), reset(1, CANCEL));
    await settle();
    assert.deepEqual(resets(), []);
    assert.deepEqual(lab.exchanges[0]?.resets, [[CANCEL, true]]);
  });

  it("where it has ended", async () => {
    const { lab, peer, settle, resets } = await opened();
    lab.exchanges[0]?.answer("done");
    peer.send(data(1, "", true), badPriority(1), reset(1, CANCEL));
    await settle();
    assert.deepEqual(resets(), []);
    peer.send(headers(3, get()));
    await until(() => lab.exchanges.length === 2);
  });

  it("but one that is open is, once", async () => {
    const { peer, settle, resets } = await opened();
    peer.send(badPriority(1), badPriority(1));
    await settle();
    assert.deepEqual(resets(), [`reset 1 ${FRAME_SIZE_ERROR}`]);
  });

  it("and whoever goes on so is sent away", async () => {
    const { peer } = await opened();
    peer.send(...Array.from({ length: 3_000 }, () => badPriority(1)));
    await peer.until(/^goaway \d+ 11/);
  });
});
