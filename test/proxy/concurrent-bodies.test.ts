import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after, describe, it } from "node:test";
import { type Random, seeded } from "../../src/core/random.ts";
import { endpoint, planeLab, service } from "../helpers/plane.ts";
import { readBodies } from "../helpers/programs/body-reader.ts";
import { type Framing, sendPattern } from "../helpers/programs/pattern.ts";
import { patternServer } from "../helpers/programs/pattern-server.ts";
import { nothingHeld } from "../helpers/web-lab.ts";

const MIB = 2 ** 20;
const CLIENTS = 32;

const closers: (() => Promise<void>)[] = [];
after(async () => {
  for (const close of closers) await close();
});

interface Turn {
  readonly direction: "up" | "down";
  readonly framing: Framing;
  readonly size: number;
  readonly shift: number;
}

/** One client makes its requests one after the other, on one connection. Resolves with what was wrong. */
async function run(port: number, turns: readonly Turn[], random: Random): Promise<string[]> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  const wrong: string[] = [];
  let next = 0;
  const { promise, resolve } = Promise.withResolvers<string[]>();
  const end = (): void => {
    socket.destroy();
    resolve(wrong);
  };
  const begin = (): void => {
    const turn = turns[next++];
    if (turn === undefined) {
      end();
      return;
    }
    const { direction, framing, size, shift } = turn;
    if (direction === "down") {
      socket.write(`GET /${size}/${framing}/${shift} HTTP/1.1\r\nHost: web\r\n\r\n`);
      return;
    }
    const field = framing === "chunked" ? "Transfer-Encoding: chunked" : `Content-Length: ${size}`;
    socket.write(`POST /${shift} HTTP/1.1\r\nHost: web\r\n${field}\r\n\r\n`);
    sendPattern(socket, turn, random);
  };
  const fail = (error: unknown): void => {
    wrong.push(String(error));
    end();
  };
  socket.on("error", fail);
  socket.on("close", () => (next <= turns.length ? fail("closed early") : undefined));
  answers(socket, turns, { begin, fail, done: () => next, random });
  begin();
  return promise;
}

interface Progress {
  begin(): void;
  fail(error: unknown): void;
  done(): number;
  readonly random: Random;
}

/** Reads the answers: the pattern, or, for an upload, the number of bytes that arrived and were right. */
function answers(
  socket: ReturnType<typeof connect>,
  turns: readonly Turn[],
  { begin, fail, done, random }: Progress,
): void {
  const current = () => turns[done() - 1];
  let text = "";
  socket.on("data", (chunk) => {
    const turn = current();
    if (turn?.direction !== "up") return;
    text += chunk.toString("latin1");
    const body = `received ${turn.size}`;
    if (!text.includes("\r\n\r\n")) return;
    if (!body.startsWith(text.slice(text.indexOf("\r\n\r\n") + 4))) fail(text);
    if (!text.endsWith(body)) return;
    text = "";
    begin();
  });
  const downloads = {
    onHead: () => current()?.shift ?? 0,
    onBody: (bytes: number) => {
      if (bytes === current()?.size) begin();
      else fail(`${bytes} bytes`);
    },
    onWrong: fail,
  };
  const isDownload = turns.every((turn) => turn.direction === "down");
  const pauses = { firstMs: random() * 300, everyBytes: 300_000, thenMs: random() * 5 };
  if (isDownload) readBodies(socket, downloads, pauses);
}

describe("many bodies at once", () => {
  it("arrive byte for byte, in any framing, with slow and fast readers", async () => {
    const upstream = await patternServer({ firstMs: 150, everyBytes: 500_000, thenMs: 3 });
    const lab = await planeLab();
    const place = endpoint(upstream.port);
    lab.services(service("web", [place]));
    closers.push(
      () => lab.close(),
      () => upstream.close(),
    );
    const random = seeded(7);
    const clients = Array.from({ length: CLIENTS }, (_, index) => {
      const direction = index % 2 === 0 ? "down" : "up";
      const turns = Array.from({ length: 2 }, (_unused, turn): Turn => {
        const framing = (index + turn) % 4 < 2 ? "length" : "chunked";
        // Some are larger than what the kernel holds for a reader that pauses.
        const size = (index % 8 < 2 ? 12 : 2) * MIB + Math.floor(random() * 2 * MIB);
        return { direction, framing, size, shift: 1 + Math.floor(random() * MIB) };
      });
      return run(lab.port, turns, seeded(index));
    });
    const wrong = (await Promise.all(clients)).flat();
    assert.deepEqual(wrong, []);
    assert.equal(lab.facts.length, 2 * CLIENTS);
    assert.ok(lab.facts.every((one) => one.status === 200 && one.error === null));
    await nothingHeld(lab, [place.slot]);
  });
});
